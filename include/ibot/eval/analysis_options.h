// Options of the tasks that make pictures, and of part-wise probing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace eval {

struct AttentionOptions {
  std::vector<int64_t> size{480, 480};
  int64_t images = 100;
  double threshold = 0.6;
  std::vector<int64_t> heads;
  bool separate = false;
  bool video = false;
  double frames_per_second = 30.0;
  int64_t seed = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("size", size, "of the images in pixels: [height, width]; [short side]; []: as they are");
    field("images", images, "images shown, drawn from those that there are; 0: all");
    field("threshold", threshold, "share of a head's attention that the color picture keeps");
    field("heads", heads, "of the color picture, counted from 0, at most six; []: the first six");
    field("separate", separate, "each picture as a file of its own, besides the panel");
    field("video", video, "a video of the mean over heads, images by their names as its frames");
    field("frames_per_second", frames_per_second, "of the video");
    field("seed", seed, "of the choice of images");
  }

  void validate() const {
    check_option(size.size() <= 2, "size", "expected at most two numbers, got ", size.size());
    for (const auto side : size) check_option(side > 0, "size", "expected above 0, got ", side);
    check_option(images >= 0, "images", "expected 0 or more, got ", images);
    check_option(threshold > 0 && threshold <= 1, "threshold", "expected (0, 1], got ", threshold);
    check_option(heads.size() <= 6, "heads", "expected at most six, got ", heads.size());
    for (const auto head : heads)
      check_option(head >= 0, "heads", "expected 0 or more, got ", head);
    check_option(frames_per_second > 0, "frames_per_second", "expected above 0, got ",
                 frames_per_second);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

/// Two crops of an image; two images of a class; any two images.
enum class Pairs { kInstance, kClass, kRandom };

}  // namespace eval

template <>
struct EnumNames<eval::Pairs> {
  static constexpr std::array<std::pair<eval::Pairs, std::string_view>, 3> values{
      {{eval::Pairs::kInstance, "instance"},
       {eval::Pairs::kClass, "class"},
       {eval::Pairs::kRandom, "random"}}};
};

namespace eval {

struct CorrespondenceOptions {
  Pairs pairs = Pairs::kInstance;
  int64_t images = 0;
  int64_t drawings = 100;
  int64_t matches = 12;
  int64_t radius = 0;
  std::string attention_weights;
  int64_t seed = 1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("pairs", pairs,
          "instance (two crops of an image, whose true matches are known) | class (two images of a "
          "class) | random (any two images)");
    field("images", images, "images drawn from those that there are; 0: all");
    field("drawings", drawings, "pairs drawn with their matches, the first ones");
    field("matches", matches, "matches a drawing, of the patches with the most attention");
    field("radius", radius, "rows and columns that a match may be off the true patch");
    field(
        "attention_weights", attention_weights,
        "weights of the ViT whose attention chooses the matches drawn, DINO ViT-B/8 in the paper; "
        "empty: the evaluated network's own");
    field("seed", seed, "of crops, colors and the choice of images");
  }

  void validate() const {
    check_option(images >= 0, "images", "expected 0 or more, got ", images);
    check_option(drawings >= 0, "drawings", "expected 0 or more, got ", drawings);
    check_option(matches > 0, "matches", "expected above 0, got ", matches);
    check_option(radius >= 0, "radius", "expected 0 or more, got ", radius);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
  }
};

/// Whether a prototype is shown by patches or by whole images.
enum class PatternOf { kPatch, kClass };

}  // namespace eval

template <>
struct EnumNames<eval::PatternOf> {
  static constexpr std::array<std::pair<eval::PatternOf, std::string_view>, 2> values{
      {{eval::PatternOf::kPatch, "patch"}, {eval::PatternOf::kClass, "cls"}}};
};

namespace eval {

struct PatternOptions {
  PatternOf of = PatternOf::kPatch;
  int64_t clusters = 20;
  int64_t tiles = 36;
  int64_t window = 5;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("of", of, "patch (prototypes of patch tokens) | cls (of class tokens, by whole images)");
    field("clusters", clusters, "prototypes shown, those with the most patches or images");
    field("tiles", tiles, "patches or images a prototype");
    field("window", window, "side of a tile in patches, odd");
  }

  void validate() const {
    check_option(clusters > 0, "clusters", "expected above 0, got ", clusters);
    check_option(tiles > 0, "tiles", "expected above 0, got ", tiles);
    check_option(window > 0 && window % 2 == 1, "window", "expected an odd number, got ", window);
  }
};

struct PartOptions {
  std::vector<int64_t> k{1, 7, 14, 56, 112, 196};
  bool lowest = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("k", k, "numbers of patches whose mean is probed");
    field("lowest", lowest, "patches with the least attention instead of the most");
  }

  void validate() const {
    check_option(!k.empty(), "k", "expected at least one number");
    for (const auto count : k) check_option(count > 0, "k", "expected above 0, got ", count);
  }
};

}  // namespace eval
}  // namespace ibot
