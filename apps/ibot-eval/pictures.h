// What tasks that make pictures have in common.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/picture_files.h"
#include "ibot-eval/task.h"
#include "ibot/data/dataset.h"
#include "ibot/eval/page.h"
#include "ibot/image/image.h"

namespace ibot::apps {

/// The images of a file, of a folder, or of its val/ where it has one. Throws RequestError.
std::unique_ptr<data::Dataset> open_pictures(const std::filesystem::path& where);

/// `count` of the `total` images, or all where that is 0, drawn with `seed`, in their order.
std::vector<int64_t> chosen_images(int64_t total, int64_t count, int64_t seed);

/// The decoded image. Throws DataError.
data::Image decoded(const data::Dataset& images, int64_t sample, const TaskRequest& request);

/// Resized to exactly height x width with antialias: [3, height, width] uint8.
torch::Tensor resized(const data::Image& image, int64_t height, int64_t width);

/// Writes OUT/NAME.png.
void write_png(const TaskRequest& request, const std::string& name, const torch::Tensor& picture);

/// Pictures that a page shows at most; files hold all.
inline constexpr int64_t kShownPictures = 24;

/// Throws RequestError, naming the task, without a folder to write to or a network.
void check_picture_request(const TaskRequest& request, const std::string& task);

/// The ViT of a file of weights, or where that is empty the evaluated network, if its class token
/// attends to patches; no backbone otherwise. On the request's device, in evaluation mode. Throws
/// RequestError on weights of a network without such attention.
evaluation::Subject attending_subject(const TaskRequest& request, const std::string& file);

/// The same where a network is needed: throws RequestError, naming the task, where there is none.
///
///   key   the option that would name one; empty: there is no such option
evaluation::Subject attending_subject(const TaskRequest& request, const std::string& task,
                                      const std::string& key, const std::string& file);

}  // namespace ibot::apps
