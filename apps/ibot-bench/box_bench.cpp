#include "ibot-bench/box_bench.h"

#include <torch/utils.h>

#include "ibot/boxes/nms.h"
#include "ibot/boxes/roi_align.h"

namespace ibot::apps {
namespace {

/// `count` boxes with corners within `places`, sides from `least` to `most` pixels.
torch::Tensor drawn_boxes(int64_t count, const torch::Tensor& places, double least, double most) {
  const auto corners = torch::rand({count, 2}) * places;
  const auto sides = torch::rand({count, 2}) * (most - least) + least;
  return torch::cat({corners, corners + sides}, 1);
}

}  // namespace

void bench_regions(const BenchRuns& runs, Figures& figures) {
  constexpr int64_t kImages = 2, kRegions = 512;
  auto maps = torch::rand({kImages, 256, 100, 168}, runs.device).requires_grad_();
  const auto image = (torch::arange(kRegions) % kImages).to(torch::kFloat).unsqueeze(1);
  const auto boxes = drawn_boxes(kRegions, torch::tensor({500.0F, 300.0F}), 8.0, 108.0);
  const auto regions = torch::cat({image, boxes}, 1).to(runs.device);
  figures.measure({.name = "regions", .images = kImages}, runs, [&] {
    maps.mutable_grad() = torch::Tensor();
    boxes::roi_align(maps, regions, {.scale = 0.25}).sum().backward();
  });
}

void bench_suppression(const BenchRuns& runs, Figures& figures) {
  constexpr int64_t kBoxes = 10'000;
  const auto boxes = drawn_boxes(kBoxes, torch::tensor({800.0F, 800.0F}), 4.0, 124.0);
  const auto scores = torch::rand({kBoxes});
  figures.measure({.name = "suppression", .images = 1.0}, runs,
                  [&] { boxes::nms(boxes, scores, 0.7); });
}

}  // namespace ibot::apps
