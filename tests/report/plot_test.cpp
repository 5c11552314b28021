#include "ibot/report/plot.h"

#include <gtest/gtest.h>

#include <array>

#include "ibot/codec/decode.h"

namespace ibot::report {
namespace {

using Color = std::array<int, 3>;

constexpr Color kWhite{255, 255, 255};

data::Image decoded(const eval::LineChart& chart) {
  const auto png = to_png(chart);
  return data::decode(std::vector<uint8_t>(png.begin(), png.end()), "plot.png", {});
}

Color at(const data::Image& image, int64_t x, int64_t y) {
  const auto* pixel = image.row(y) + 3 * x;
  return {pixel[0], pixel[1], pixel[2]};
}

/// Pixels darker than `most` in all channels within a box.
int64_t dark_pixels(const data::Image& image, int64_t left, int64_t top, int64_t right,
                    int64_t bottom, int most = 100) {
  int64_t dark = 0;
  for (int64_t y = top; y < bottom; ++y) {
    for (int64_t x = left; x < right; ++x) {
      const auto color = at(image, x, y);
      dark += color[0] < most && color[1] < most && color[2] < most ? 1 : 0;
    }
  }
  return dark;
}

// The plot is 560 by 308 units from (64, 40), two pixels each; a line from corner to corner.
TEST(Plot, ACurveIsWhereItsValuesAre) {
  const auto image = decoded({"loss", "step", "loss", {{"a", {0, 1}, {0, 1}}}});
  EXPECT_EQ(image.width(), 1280);
  EXPECT_EQ(image.height(), 836);
  const Color blue{0, 0x72, 0xb2};
  EXPECT_EQ(at(image, 2 * (64 + 280), 2 * (40 + 154)), blue);
  EXPECT_EQ(at(image, 2 * (64 + 140), 2 * (40 + 231)), blue);
  EXPECT_EQ(at(image, 2 * (64 + 112 + 20), 2 * (40 + 30)), kWhite);
  EXPECT_EQ(at(image, 2 * 64 + 10, 2 * 400), blue);  // of the legend
}

// A letter of the label rotated would be outside the margin, or cut.
TEST(Plot, WordsAreInTheMargins) {
  const auto with = decoded({"title", "steps", "quantity", {{"a", {0, 1}, {0, 1}}}});
  const auto without = decoded({"", "", "", {{"", {0, 1}, {0, 1}}}});
  const auto more = [&](int64_t left, int64_t top, int64_t right, int64_t bottom) {
    return dark_pixels(with, left, top, right, bottom) -
           dark_pixels(without, left, top, right, bottom);
  };
  EXPECT_GT(more(560, 10, 720, 50), 30);    // title, in the middle above
  EXPECT_GT(more(570, 760, 710, 790), 30);  // label of x, below
  EXPECT_GT(more(10, 330, 40, 470), 30);    // label of y, upright at the left
  EXPECT_EQ(more(10, 330, 40, 470), more(0, 80, 60, 720));
}

TEST(Plot, BandsLetTheGridThrough) {
  const auto image = decoded({"", "", "", {{"a", {0, 1}, {5, 5}, {0, 0}, {10, 10}}}});
  const Color band = at(image, 2 * 200, 2 * 60);
  EXPECT_NE(band, kWhite);
  EXPECT_GT(band[0], 190);
  EXPECT_GT(band[2], band[0]);
}

// Names of runs are any text.
TEST(Plot, DrawsWhateverTheNames) {
  for (const char* name :
       {"", "K\xc3\xb6ln \xc2\xb7 1\xe2\x80\xa6", "\xe6\xbc\xa2\xe5\xad\x97", "\xc3", "\xff\xfe"}) {
    EXPECT_GT(decoded({name, name, name, {{name, {0}, {1}}, {name, {}, {}}}}).height(), 0) << name;
  }
}

}  // namespace
}  // namespace ibot::report
