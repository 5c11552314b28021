// Objects followed through videos, against reference values.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "evaluation/video_files.h"
#include "evaluation/video_frames.h"
#include "ibot/batch/normalization.h"
#include "ibot/data/davis_set.h"
#include "ibot/data/picture_files.h"
#include "ibot/eval/mask_quality.h"
#include "ibot/eval/propagation.h"
#include "support/golden_tensors.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

using evaluation::ObjectResult;
using testing::dense_case;
using testing::GoldenTensors;
using testing::ReadJson;

void check_statistics(const FrameStatistics& found, const ReadJson& expected, double tolerance) {
  EXPECT_NEAR(found.mean, expected["mean"], tolerance);
  EXPECT_NEAR(found.recall, expected["recall"], tolerance);
  const auto decay = expected["decay"];
  if (decay.is_null()) {
    EXPECT_TRUE(std::isnan(found.decay));
  } else {
    EXPECT_NEAR(found.decay, decay.get<double>(), tolerance);
  }
}

void check_quality(const ReadJson& json, const GoldenTensors& tensors, double tolerance) {
  const auto& truth = tensors.at("annotation");
  const auto& result = tensors.at("result");
  std::vector<ObjectResult> objects;
  for (int64_t object = 1; object <= tensors.at("J").size(0); ++object) {
    std::vector<double> region;
    std::vector<double> contour;
    for (int64_t frame = 1; frame + 1 < truth.size(0); ++frame) {
      region.push_back(region_similarity(truth[frame] == object, result[frame] == object));
      contour.push_back(boundary_accuracy(truth[frame] == object, result[frame] == object));
    }
    EXPECT_TENSOR_NEAR(torch::tensor(region, torch::kDouble), tensors.at("J")[object - 1],
                       {0.0, tolerance});
    EXPECT_TENSOR_NEAR(torch::tensor(contour, torch::kDouble), tensors.at("F")[object - 1],
                       {0.0, tolerance});
    objects.push_back({"", frame_statistics(region), frame_statistics(contour)});
    check_statistics(objects.back().region, json["per_object"]["J"][object - 1], tolerance);
    check_statistics(objects.back().contour, json["per_object"]["F"][object - 1], tolerance);
  }
  for (const auto& [name, value] : evaluation::global_means(objects)) {
    EXPECT_NEAR(value, json["global"][name], tolerance) << name;
  }
}

void check_boundaries(const ReadJson& json, const GoldenTensors& tensors, double tolerance) {
  const auto truth = tensors.at("large.annotation") == 1;
  const auto result = tensors.at("large.result") == 1;
  EXPECT_TENSOR_EQUAL(boundary(truth).to(torch::kByte), tensors.at("large.annotation_boundary"));
  EXPECT_TENSOR_EQUAL(boundary(tensors.at("small_mask") > 0).to(torch::kByte),
                      tensors.at("small_boundary"));
  EXPECT_NEAR(region_similarity(truth, result), json["J"], tolerance);
  EXPECT_NEAR(boundary_accuracy(truth, result), json["F"], tolerance);
  const auto radius = boundary_radius(truth.size(0), truth.size(1));
  EXPECT_EQ(radius, json["radius"].get<int64_t>());
  std::vector<std::string> rows;
  for (const int64_t reach : disk_reaches(radius)) {
    const std::string outside(radius - reach, '.');
    rows.push_back(outside + std::string(2 * reach + 1, '#') + outside);
  }
  EXPECT_EQ(rows, json["disk_rows"].get<std::vector<std::string>>());
}

void check_edge_cases(const ReadJson& json) {
  const auto empty = torch::zeros({20, 30}, torch::kBool);
  auto object = empty.clone();
  object.slice(0, 5, 10).slice(1, 5, 10).fill_(true);
  const auto full = torch::ones_like(empty);
  EXPECT_EQ(region_similarity(empty, empty), json["J_both_empty"].get<double>());
  EXPECT_EQ(boundary_accuracy(empty, empty), json["F_both_empty"].get<double>());
  EXPECT_EQ(boundary_accuracy(object, empty), json["F_result_empty"].get<double>());
  EXPECT_EQ(boundary_accuracy(empty, object), json["F_truth_empty"].get<double>());
  EXPECT_EQ(boundary_accuracy(full, full), json["F_full_image"].get<double>());
}

/// The same classes but where two are as good as equal.
void expect_same_labels(const torch::Tensor& masks, const torch::Tensor& expected) {
  const auto found = label_image(masks, expected.size(0), expected.size(1));
  const auto best = std::get<0>(masks.topk(2, 0));
  const auto close = nearest(best[0] - best[1] < 1e-5, expected.size(0), expected.size(1));
  EXPECT_TRUE(((found == expected) | close).all().item<bool>());
}

void check_propagation(const ReadJson& json, const GoldenTensors& tensors) {
  const int64_t rows = json["h"];
  const int64_t columns = json["w"];
  const auto features =
      tensors.at("propagation.features")
          .view({json["frames"].get<int64_t>(), rows, columns, json["d"].get<int64_t>()});
  const auto size = json["ori"].get<std::vector<int64_t>>();
  const auto& output = tensors.at("propagation.output");
  EXPECT_EQ(output.sizes().slice(1).vec(), size);
  const auto& labels = tensors.at("propagation.first_label_map");
  EXPECT_TENSOR_EQUAL(nearest(output[0], rows, columns).to(torch::kLong), labels);
  PropagationOptions options;
  options.last_frames = json["last"];
  options.radius = json["nb"];
  options.topk = json["topk"];
  Propagation propagation(options, features[0], labels);
  const auto& soft_maps = tensors.at("propagation.soft_maps");
  EXPECT_EQ(soft_maps.size(1), json["C"].get<int64_t>());
  for (int64_t frame = 1; frame < features.size(0); ++frame) {
    SCOPED_TRACE(frame);
    const auto soft = propagation.next(features[frame]);
    EXPECT_TENSOR_NEAR(soft, soft_maps[frame - 1], tensors.tolerance());
    const auto masks = normalized_masks(soft, json["patch"]);
    if (frame == 1) tensors.compare(masks, "propagation.frame1_normalised");
    expect_same_labels(masks, output[frame]);
  }
}

TEST(VideoDense, FramesHaveTheSameSizes) {
  const auto golden = dense_case("11_pipelines", "pipelines");
  for (const auto& item : golden.json["video_sizes"]["items"].elements()) {
    const auto size = evaluation::network_size({item["height"], item["width"]}, 480);
    EXPECT_EQ((std::vector<int64_t>{size.height, size.width}),
              item["frame"].get<std::vector<int64_t>>());
    EXPECT_EQ((std::vector<int64_t>{size.height / 16, size.width / 16}),
              item["label"].get<std::vector<int64_t>>());
  }
}

TEST(VideoDense, FramesAndLabelsAreTheSame) {
  const auto golden = dense_case("11_pipelines", "pipelines");
  const auto tensors = golden.tensors();
  const auto& given = golden.json["video_frame"];
  const auto& rows = tensors.at("image");  // [H, W, 3]
  data::Image picture(rows.size(0), rows.size(1));
  std::memcpy(picture.row(0), rows.contiguous().const_data_ptr(), rows.nbytes());
  const testing::TemporaryFolder folder;
  std::ofstream(folder / "frame.png", std::ios::binary) << data::png_bytes(picture);
  const data::FileList frames("frames", {{(folder / "frame.png").string(), 0}}, {""});
  const auto frame =
      data::read_frame({{}, frames, frames}, 0, {given["size"][0], given["size"][1]});
  EXPECT_TRUE(testing::near(batch::normalized(frame, evaluation::frame_normalization({})),
                            tensors.at("video.frame"),
                            {0, golden.json["tolerance"]["normalised"]["atol"]}));
  EXPECT_TENSOR_EQUAL(nearest(tensors.at("label"), given["label_size"][0], given["label_size"][1])
                          .to(tensors.at("video.label").scalar_type()),
                      tensors.at("video.label"));
}

TEST(VideoDense, EverythingIsAsInTheReference) {
  const auto golden = dense_case("12_video", "video");
  const GoldenTensors tensors(golden.tensors(), golden.tolerance());
  const double tolerance = golden.json["tolerance"]["J_and_F"];
  check_quality(golden.json, tensors, tolerance);
  check_boundaries(golden.json["large"], tensors, tolerance);
  check_edge_cases(golden.json["edge_cases"]);
  for (const auto& expected : golden.json["statistics"].elements()) {
    check_statistics(frame_statistics(expected["values"].get<std::vector<double>>()), expected,
                     tolerance);
  }
  check_propagation(golden.json["propagation"], tensors);
  tensors.expect_all_used();
  golden.json.expect_all_read({"rules", "propagation/rule", "tolerance/exact"});
}

}  // namespace
}  // namespace ibot::eval
