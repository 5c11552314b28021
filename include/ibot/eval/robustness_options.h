// Options of the tests of robustness.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

/// Cells that an image is cut into.
struct CellGrid {
  int64_t rows = 0;
  int64_t columns = 0;
};

/// "4x8" as 4 rows of 8 cells; none where it says something else.
inline std::optional<CellGrid> grid_of(const std::string& text) {
  CellGrid grid;
  const char* const end = text.data() + text.size();
  const auto rows = std::from_chars(text.data(), end, grid.rows);
  if (rows.ec != std::errc() || rows.ptr == end || *rows.ptr != 'x') return std::nullopt;
  const auto columns = std::from_chars(rows.ptr + 1, end, grid.columns);
  if (columns.ec != std::errc() || columns.ptr != end) return std::nullopt;
  if (grid.rows <= 0 || grid.columns <= 0) return std::nullopt;
  return grid;
}

struct RobustnessOptions {
  std::vector<std::string> tests;
  std::string images;
  std::string imagenet9;
  std::string imagenet_a;
  std::string imagenet_c;
  std::vector<std::string> corruptions;
  std::string class_list;
  int64_t classifier = -1;
  int64_t drop_grid = 14;
  std::vector<std::string> shuffle_grids{"2x2", "2x4", "4x4", "4x8", "8x8", "14x14", "16x16"};
  std::string saliency_weights;
  int64_t saliency_head = 1;
  int64_t set_images = 1024;
  int64_t seed = 1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("tests", tests,
          "occlusion, saliency, shuffle, imagenet9, challenge, imagenet_a, imagenet_c; []: those "
          "whose data are there");
    field("images", images,
          "folder below --data with the labeled images of occlusion, saliency and shuffle; empty: "
          "val or imagenet/val");
    field("imagenet9", imagenet9,
          "folder below --data with the variants of ImageNet-9; empty: bg_challenge, "
          "imagenet9/bg_challenge or imnet_bg/bg_challenge");
    field("imagenet_a", imagenet_a,
          "folder below --data with ImageNet-A; empty: imagenet-a or imnet_a/imagenet-a");
    field("imagenet_c", imagenet_c,
          "folder below --data with ImageNet-C; empty: imagenet-c, ImageNet-C or imnet_c");
    field("corruptions", corruptions, "of ImageNet-C; []: those that are there");
    field("class_list", class_list,
          "file with the names of the classifier's classes, WordNet ids or folders of ImageNet-9, "
          "one a line in their order; empty: ImageNet-1k, or the folders of train/");
    field("classifier", classifier, "which one of the file; -1: the one that it calls best");
    field("drop_grid", drop_grid, "rows and columns of the cells that occlusion drops at random");
    field("shuffle_grids", shuffle_grids, "rows x columns of the cells that shuffle moves about");
    field("saliency_weights", saliency_weights,
          "weights of the ViT whose attention tells the foreground, DINO ViT-S/16 in the paper; "
          "empty: the evaluated network's own");
    field("saliency_head", saliency_head, "head of its last block, counted from 0");
    field("set_images", set_images, "images that a random choice of cells is shared by");
    field("seed", seed, "of the cells that are dropped and of their order");
  }

  void validate() const {
    check_option(classifier >= -1, "classifier", "expected -1 or more, got ", classifier);
    check_option(drop_grid > 0, "drop_grid", "expected above 0, got ", drop_grid);
    for (const auto& grid : shuffle_grids) {
      check_option(grid_of(grid).has_value(), "shuffle_grids", "expected grids such as 4x8, got ",
                   grid);
    }
    check_option(saliency_head >= 0, "saliency_head", "expected 0 or more, got ", saliency_head);
    check_option(set_images > 0, "set_images", "expected above 0, got ", set_images);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

}  // namespace ibot::eval
