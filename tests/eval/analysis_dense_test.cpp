#include <gtest/gtest.h>

#include "ibot/eval/attention_picture.h"
#include "ibot/eval/color_map.h"
#include "ibot/eval/correspondence.h"
#include "ibot/eval/features.h"
#include "ibot/eval/occlusion.h"
#include "ibot/eval/patterns.h"
#include "ibot/models/backbone.h"
#include "support/golden_tensors.h"
#include "support/weights.h"

namespace ibot::eval {
namespace {

using testing::GoldenTensors;
using testing::ReadJson;

class AnalysisDense : public ::testing::Test {
 protected:
  const testing::GoldenCase golden_ = testing::dense_case("15_analysis", "analysis");
  const ReadJson& json_ = golden_.json;
  const GoldenTensors tensors_{golden_.tensors(), golden_.tolerance()};

  /// Pictures differ by less than a level.
  void compare_levels(const torch::Tensor& actual, const std::string& name) const {
    EXPECT_TRUE(testing::near(actual, tensors_.at(name), {0.0, 1.0})) << name;
  }

  void check_attention() const {
    const auto expected = json_["attention"];
    const auto& raw = tensors_.at("attention.raw");
    for (const auto& share : tensors_.endings("attention.kept_")) {
      const auto kept = most_attended(raw.flatten(1), std::stod(share)).view_as(raw);
      EXPECT_TENSOR_EQUAL(kept.to(torch::kByte), tensors_.at("attention.kept_" + share));
    }
    std::vector<Color> colors;
    for (const auto& color : expected["colours"].elements()) colors.push_back(color.get<Color>());
    EXPECT_EQ(colors, head_colors());
    const auto kept = raw * most_attended(raw.flatten(1), 0.6).view_as(raw);
    EXPECT_TENSOR_EQUAL(winning_head(kept), tensors_.at("attention.winner"));
    const auto& image = tensors_.at("attention.image");
    EXPECT_EQ(image.size(1), raw.size(1) * expected["patch"].get<int64_t>());
    compare_levels(attention_picture(image, raw, 0.6, colors), "attention.colour");
    tensors_.compare(raw.mean(0), "attention.mean_over_heads");
  }

  torch::Tensor corners(const std::string& name) const {
    std::vector<torch::Tensor> rows;
    for (const auto& row : json_["correspondence"][name].elements()) {
      rows.push_back(torch::tensor(row.get<std::vector<double>>(), torch::kDouble));
    }
    return torch::stack(rows);
  }

  void check_correspondence() const {
    const auto expected = json_["correspondence"];
    const int64_t patch = expected["patch"];
    const int64_t side = expected["image_size"];
    const mask::PatchGrid grid{side / patch, side / patch};
    const auto centers1 = patch_centers(corners("corners1"), grid);
    const auto centers2 = patch_centers(corners("corners2"), grid);
    tensors_.compare(centers1, "correspondence.centres1");
    tensors_.compare(centers2, "correspondence.centres2");
    const auto half = static_cast<double>(patch / 2) / static_cast<double>(side);
    const auto overlap = overlapping(centers1, centers2, half);
    EXPECT_TENSOR_EQUAL(overlap.to(torch::kByte), tensors_.at("correspondence.overlap"));
    const auto match =
        matched_patch(tensors_.at("correspondence.tokens1"), tensors_.at("correspondence.tokens2"));
    EXPECT_TENSOR_EQUAL(match, tensors_.at("correspondence.match"));
    const auto truth = nearest_patch(centers1, centers2);
    EXPECT_TENSOR_EQUAL(truth, tensors_.at("correspondence.true_match"));
    for (const auto& [radius, accuracy] : expected["accuracy_by_radius"].items()) {
      const auto right = right_matches(match, truth, overlap, std::stoll(radius), grid.columns);
      EXPECT_NEAR(right.sum().item<double>() / overlap.sum().item<double>(), accuracy, 1e-6);
    }
    EXPECT_TENSOR_EQUAL(most_attended_patches(tensors_.at("correspondence.attention"), grid,
                                              overlap, expected["selected"]),
                        tensors_.at("correspondence.selected"));
  }

  /// The reference gives images without a patch of the cluster, or with a negative logit alone, a
  /// value of 0; the others are ours, in the same order.
  void check_cluster(const PatternBank& bank, const ReadJson& expected, int64_t columns) const {
    const auto images = expected["image"].get<std::vector<int64_t>>();
    const auto values = expected["value"].get<std::vector<double>>();
    const auto best = best_patches(bank, expected["cluster"], bank.value.size(0));
    size_t next = 0;
    for (size_t i = 0; i < images.size(); ++i) {
      const auto own = std::find_if(best.begin(), best.end(),
                                    [&](const auto& it) { return it.image == images[i]; });
      const auto place =
          expected["row"][i].get<int64_t>() * columns + expected["column"][i].get<int64_t>();
      if (values[i] == 0.0) {
        EXPECT_TRUE(own == best.end() || own->value <= 0.0f) << images[i];
        EXPECT_TRUE(own == best.end() || own->patch != place || own->value == 0.0f);
        continue;
      }
      ASSERT_LT(next, best.size());
      EXPECT_EQ(best[next].image, images[i]);
      EXPECT_EQ(best[next].patch, place);
      EXPECT_NEAR(best[next].value, values[i], 1e-5 + 1e-4 * std::abs(values[i]));
      ++next;
    }
  }

  void check_patterns() const {
    const auto expected = json_["pattern"];
    const auto& logits = tensors_.at("pattern.logits");
    const auto bank = pattern_bank(logits);
    const auto sizes = cluster_sizes(bank, logits.size(2));
    EXPECT_TENSOR_EQUAL(sizes, tensors_.at("pattern.counts"));
    const int64_t columns = expected["grid"][1];
    EXPECT_EQ(expected["grid"][0].get<int64_t>() * columns, logits.size(1));
    check_largest(expected["patches"], sizes);
    for (const auto& cluster : expected["patches"].elements()) {
      check_cluster(bank, cluster, columns);
    }
    const auto& class_logits = tensors_.at("pattern.class_logits");
    const auto classes = pattern_bank(class_logits.unsqueeze(1));
    check_largest(expected["class_mode"], cluster_sizes(classes, class_logits.size(1)));
    for (const auto& cluster : expected["class_mode"].elements()) {
      const auto best = best_patches(classes, cluster["cluster"], classes.value.size(0));
      const auto images = cluster["image"].get<std::vector<int64_t>>();
      // The reference fills up with images of other clusters, at 0.
      for (size_t i = 0; i < std::min(images.size(), best.size()) && best[i].value > 0; ++i) {
        EXPECT_EQ(best[i].image, images[i]) << i;
      }
    }
  }

  /// Equally large clusters have no order.
  void check_largest(const ReadJson& expected, const torch::Tensor& sizes) const {
    const auto listed = expected.elements();
    const auto found = largest_clusters(sizes, static_cast<int64_t>(listed.size()));
    ASSERT_EQ(found.size(), listed.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(sizes[found[i]].item<int64_t>(),
                sizes[listed[i]["cluster"].get<int64_t>()].item<int64_t>());
    }
  }

  void check_tiles() const {
    const auto pattern = json_["pattern"];
    const auto& picture = tensors_.at("pattern.picture");
    const int64_t patch = picture.size(0) / pattern["grid"][0].get<int64_t>();
    const auto items = pattern["tiles"]["items"].elements();
    for (size_t i = 0; i < items.size(); ++i) {
      const auto name = "pattern.tile" + std::to_string(i);
      const int64_t window = tensors_.at(name).size(0) / patch;
      const auto tile = pattern_tile(picture, items[i]["row"], items[i]["column"], patch, window);
      EXPECT_NEAR(mean_value(tile), items[i]["mean_value"], 1e-9);
      EXPECT_EQ(mean_value(tile) > kDarkestTile, items[i]["kept"].get<bool>());
      mark_center_(tile, patch, window);
      EXPECT_TENSOR_EQUAL(tile, tensors_.at(name));
    }
  }

  models::BackboneOptions part_options(const ReadJson& config) const {
    models::BackboneOptions options;
    options.arch = "vit_tiny";
    options.patch_size = config["patch"];
    options.embed_dim = config["embed_dim"];
    options.depth = {config["depth"].get<int64_t>()};
    options.heads = {config["num_heads"].get<int64_t>()};
    options.image_size = config["img"];
    options.mean_pooling = true;  // as the reference builds it, without a final norm
    return options;
  }

  void check_parts() const {
    const auto part = json_["part"];
    const auto vit = models::build_backbone(part_options(part["config"]), models::Role::kTeacher);
    const auto weights = io::read_safetensors(golden_.folder / part["weights"].get<std::string>());
    testing::load_weights(*vit, weights.tensors);
    vit->eval();
    const torch::NoGradGuard no_grad;
    const auto images = (tensors_.at("part.image").to(torch::kFloat) - 128) / 64;
    const auto patches = vit->attended_patches(images);
    tensors_.compare(patches.attention.mean(1), "part.attention");
    EXPECT_TENSOR_NEAR(patches.attention, vit->last_attention(images).select(2, 0).slice(2, 1));
    for (const auto& k : part["k"].elements()) {
      const auto count = k.get<int64_t>();
      for (const bool highest : {true, false}) {
        const auto name = (highest ? "part.highest_" : "part.lowest_") + std::to_string(count);
        tensors_.compare(part_features(patches, count, highest), name);
      }
    }
  }
};

TEST_F(AnalysisDense, IsThatOfTheReference) {
  check_attention();
  check_correspondence();
  check_patterns();
  check_tiles();
  check_parts();
  tensors_.expect_all_used();
  json_.expect_all_read({"attention/rule", "correspondence/rule", "pattern/rule",
                         "pattern/tiles/rule", "part/rule", "tolerance/exact",
                         "tolerance/attention_colour", "tolerance/tiles"});
}

// Source of the bytes: matplotlib 3.10, colormaps[...]((x - 3) / 4, bytes=True).
TEST(ColorMap, IsMatplotlibs) {
  const auto map = torch::linspace(3, 7, 11, torch::kDouble).view({1, 11});
  const auto viridis = colored(map, ColorMap::kViridis);
  const auto inferno = colored(map, ColorMap::kInferno);
  const auto first_middle_last = torch::tensor({0, 5, 10});
  const auto picked = [&](const torch::Tensor& row) {
    return row[0].index_select(0, first_middle_last).flatten();
  };
  EXPECT_TENSOR_EQUAL(picked(viridis),
                      torch::tensor({68, 1, 84, 32, 144, 140, 253, 231, 36}, torch::kByte));
  EXPECT_TENSOR_EQUAL(picked(inferno),
                      torch::tensor({0, 0, 3, 187, 55, 84, 252, 254, 164}, torch::kByte));
}

TEST(ColorMap, AMapWithoutARangeHasTheFirstColor) {
  const auto flat = colored(torch::full({2, 2}, 0.3), ColorMap::kViridis);
  EXPECT_TENSOR_EQUAL(flat[1][1], torch::tensor({68, 1, 84}, torch::kByte));
}

// Head 1 wins nowhere; the reference divides by its range and loses the whole picture.
TEST(AttentionPicture, AHeadThatWinsNowhereShowsNothing) {
  const auto image = torch::linspace(0, 1, 48).view({3, 4, 4});
  const auto first = torch::tensor({{0.4f, 0.3f}, {0.2f, 0.1f}});
  const auto both = torch::stack({first, first});
  EXPECT_TENSOR_EQUAL(attention_picture(image, both, 0.6),
                      attention_picture(image, first.unsqueeze(0), 0.6));
}

std::vector<std::vector<uint8_t>> reds(const torch::Tensor& picture) {
  std::vector<std::vector<uint8_t>> rows;
  for (int64_t y = 0; y < picture.size(0); ++y) {
    for (int64_t x = 0; x < picture.size(1); ++x) {
      const auto red = picture[y][x][0].item<uint8_t>();
      if (red > 0) rows.push_back({static_cast<uint8_t>(y), static_cast<uint8_t>(x)});
    }
  }
  return rows;
}

// Source of the pixels: Pillow 12.2, ImageDraw.line((0, 0, 5, 2), width=1) and (4, 3, 2, 0).
TEST(Line, IsPillows) {
  const auto flat = torch::zeros({4, 6, 3}, torch::kByte);
  draw_line_(flat, {0, 0}, {5, 2});
  EXPECT_EQ(reds(flat),
            (std::vector<std::vector<uint8_t>>{{0, 0}, {0, 1}, {1, 2}, {1, 3}, {2, 4}, {2, 5}}));
  const auto steep = torch::zeros({4, 6, 3}, torch::kByte);
  draw_line_(steep, {4, 3}, {2, 0});
  EXPECT_EQ(reds(steep), (std::vector<std::vector<uint8_t>>{{0, 2}, {1, 3}, {2, 3}, {3, 4}}));
}

TEST(Line, OutsideThePictureIsLeftOut) {
  const auto picture = torch::zeros({2, 2, 3}, torch::kByte);
  draw_line_(picture, {-1, 0}, {3, 0});
  EXPECT_EQ(reds(picture).size(), 2u);
}

TEST(AttentionPicture, MoreHeadsThanColorsAreRefused) {
  EXPECT_THROW(attention_picture(torch::zeros({3, 4, 4}), torch::ones({7, 2, 2}), 0.6), Error);
}

}  // namespace
}  // namespace ibot::eval
