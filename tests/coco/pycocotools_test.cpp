// Our metrics beside pycocotools', where Python has it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/coco/annotations.h"
#include "ibot/coco/results.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::coco {
namespace {

using Json = nlohmann::json;

constexpr int64_t kSide = 160;

std::vector<double> random_box(Rng& rng) {
  const double width = rng.integer(1, 100);
  const double height = rng.integer(1, 100);
  return {rng.uniform(0, 150 - width / 2), rng.uniform(0, 150 - height / 2), width, height};
}

/// Objects of all sizes, crowds as runs, images and categories without any; ids with gaps.
Json random_annotations(Rng& rng) {
  Json file{{"images", Json::array()},
            {"annotations", Json::array()},
            {"categories",
             {{{"id", 3}, {"name", "a"}},
              {{"id", 7}, {"name", "b"}},
              {{"id", 8}, {"name", "c"}},
              {{"id", 90}, {"name", "none"}}}}};
  const int64_t categories[] = {3, 7, 8};
  for (int64_t image = 0; image < 30; ++image) {
    const int64_t id = 5 * image + 2;
    file["images"].push_back(
        {{"id", id}, {"file_name", "a.jpg"}, {"height", kSide}, {"width", kSide}});
    for (int64_t i = rng.integer(0, 8); i > 0; --i) {
      const auto box = random_box(rng);
      const bool crowd = rng.uniform() < 0.15;
      const metrics::Box place{box[0], box[1], box[2], box[3]};
      const auto mask = metrics::runs_of_box(place, kSide, kSide);
      Json segmentation;
      if (crowd) {
        segmentation = {{"size", {kSide, kSide}}, {"counts", mask.counts}};
      } else {
        const auto [x, y, w, h] = place;
        segmentation = {{x, y, x, y + h, x + w, y + h / 2}};
      }
      file["annotations"].push_back({{"id", file["annotations"].size() + 1},
                                     {"image_id", id},
                                     {"category_id", categories[rng.index(3)]},
                                     {"bbox", box},
                                     {"area", box[2] * box[3]},
                                     {"iscrowd", crowd ? 1 : 0},
                                     {"segmentation", segmentation}});
    }
  }
  return file;
}

/// Shifted truths and chance boxes, with scores of few values, and more than 100 in an image.
std::vector<metrics::Detection> random_detections(const AnnotatedSet& set, Rng& rng) {
  std::vector<metrics::Detection> detections;
  const auto add = [&](int64_t image, int64_t category, metrics::Box box) {
    detections.push_back({.image = image,
                          .category = category,
                          .score = static_cast<double>(rng.integer(1, 12)) / 12.0,
                          .box = box,
                          .mask = metrics::runs_of_box(box, kSide, kSide)});
  };
  for (size_t i = 0; i < set.images.size(); ++i) {
    for (const auto& object : set.objects[i]) {
      for (int64_t copy = rng.integer(0, 3); copy > 0; --copy) {
        auto box = object.box;
        for (auto& side : box) side += rng.integer(0, 6);
        add(set.images[i].id, set.categories[object.label].id, box);
      }
    }
    for (int64_t chance = i == 4 ? 150 : rng.integer(0, 5); chance > 0; --chance) {
      const auto box = random_box(rng);
      add(set.images[i].id, set.categories[rng.index(3)].id, {box[0], box[1], box[2], box[3]});
    }
  }
  return detections;
}

/// pycocotools' twelve numbers of boxes, then of masks, in one line each.
std::vector<double> numbers_of_pycocotools(const std::filesystem::path& folder) {
  const auto printed = testing::python_output(concat(
      "import contextlib, io\nfrom pycocotools.coco import COCO\nfrom pycocotools.cocoeval import "
      "COCOeval\nwith contextlib.redirect_stdout(io.StringIO()):\n  truth = COCO('",
      (folder / "truth.json").string(), "')\n  found = truth.loadRes('",
      (folder / "found.json").string(),
      "')\n  numbers = []\n  for kind in ('bbox', 'segm'):\n    e = COCOeval(truth, found, kind)\n"
      "    e.evaluate(); e.accumulate(); e.summarize()\n    numbers += list(e.stats)\n"
      "print(' '.join(repr(float(n)) for n in numbers))\n"));
  std::istringstream text(printed);
  return {std::istream_iterator<double>(text), {}};
}

TEST(Pycocotools, GivesTheSameNumbers) {
  if (!testing::python_has("pycocotools")) GTEST_SKIP() << "python3 has no pycocotools";
  const testing::TemporaryFolder folder;
  for (uint64_t seed = 0; seed < 2; ++seed) {
    Rng rng(seed, 0, 0, 0);
    std::ofstream(folder / "truth.json") << random_annotations(rng).dump();
    const auto set = read_annotations(folder / "truth.json");
    write_results(folder / "found.json", random_detections(set, rng));
    const auto expected = numbers_of_pycocotools(folder.path());
    ASSERT_EQ(expected.size(), 24U);
    const auto found = read_detections(folder / "found.json", set);
    size_t place = 0;
    for (const auto shape : {metrics::Shape::kBox, metrics::Shape::kMask}) {
      // pycocotools takes the area of results' boxes where they have them, of masks otherwise.
      auto sized = compared(found, shape);
      if (shape == metrics::Shape::kMask) {
        for (auto& one : sized) one.area = one.box[2] * one.box[3];
      }
      for (const double number :
           metrics::average_precision(truths_of(set, shape), sized, image_ids(set),
                                      category_ids(set), {.shape = shape})
               .summary()) {
        EXPECT_NEAR(number, expected[place], 1e-9) << place;
        ++place;
      }
    }
    EXPECT_GT(expected[0], 0.05);
  }
}

}  // namespace
}  // namespace ibot::coco
