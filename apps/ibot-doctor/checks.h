// What ibot-doctor examines.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ibot-doctor/finding.h"
#include "ibot/dist/group.h"

namespace ibot::apps {

/// Versions, processors against threads, memory, shared memory.
std::vector<Finding> check_machine();

/// Driver and GPUs against this build, a product of matrices on each GPU, the libraries that ranks
/// communicate through. The driver is asked by itself, so that it is described by any build.
std::vector<Finding> check_gpus();

/// Space, speed and locks of the file system that holds `folder`, which exists. Writes and removes
/// 64 MiB; ranks may do so at the same time.
std::vector<Finding> check_folder_use(const std::filesystem::path& folder, int64_t rank);

/// Decodes up to 256 images, evenly spread over those of `where`. Throws DataError if there are
/// none.
std::vector<Finding> check_images(const std::string& where);

/// Latency and bandwidth of an all-reduce over `group`, on `device`. All ranks call it.
Finding check_network(const dist::Group& group, torch::Device device);

}  // namespace ibot::apps
