#include "codec/tiff_layout.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr int kLittle = 1;
constexpr int kBig = 2;
constexpr int kBoth = kLittle | kBig;
constexpr int64_t kUncompressed = 1;
constexpr int64_t kOldJpeg = 6;

/// The fields by which Pillow selects its mode.
struct Key {
  int64_t photometric = 0;
  int64_t format = 1;
  int64_t fill_order = 1;
  std::vector<int64_t> bits;
  std::vector<int64_t> extras;
};

/// A supported layout.
struct Row {
  int photometric;
  TiffColor color;
  int bits;
  int samples;
  /// Meanings of the extra samples, one digit each.
  std::string_view extras = "";
  int format = 1;
  int byte_orders = kBoth;
  /// Largest permitted FillOrder: 2 also permits reversed bits.
  int fill_order = 1;
};

constexpr auto kIndexed = TiffColor::kIndexed;
constexpr auto kWide = TiffColor::kWideGray;
constexpr auto kRgb = TiffColor::kRgb;
constexpr auto kCmyk = TiffColor::kCmyk;

constexpr auto kRows = std::to_array<Row>({
    {0, kIndexed, 1, 1, "", 1, kBoth, 2},
    {0, kIndexed, 2, 1, "", 1, kBoth, 2},
    {0, kIndexed, 4, 1, "", 1, kBoth, 2},
    {0, kIndexed, 8, 1, "", 1, kBoth, 2},
    {1, kIndexed, 1, 1, "", 1, kBoth, 2},
    {1, kIndexed, 2, 1, "", 1, kBoth, 2},
    {1, kIndexed, 4, 1, "", 1, kBoth, 2},
    {1, kIndexed, 8, 1, "", 1, kBoth, 2},
    {1, kIndexed, 8, 1, "", 2},
    {1, kIndexed, 8, 2, "2"},
    {6, kIndexed, 8, 1},
    {0, kWide, 16, 1, "", 1, kLittle},
    {1, kWide, 12, 1, "", 1, kLittle},
    {1, kWide, 16, 1, "", 1, kLittle, 2},
    {1, kWide, 16, 1, "", 1, kBig},
    {1, kWide, 16, 1, "", 2},
    {1, kWide, 32, 1, "", 1, kLittle},
    {1, kWide, 32, 1, "", 2},
    {0, kWide, 32, 1, "", 3},
    {1, kWide, 32, 1, "", 3},
    {2, kRgb, 8, 3, "", 1, kBoth, 2},
    {2, kRgb, 8, 4},
    {2, kRgb, 8, 4, "0"},
    {2, kRgb, 8, 4, "1"},
    {2, kRgb, 8, 4, "2"},
    {2, kRgb, 8, 4, "999"},  // Corel Draw 10
    {2, kRgb, 8, 5, "00"},
    {2, kRgb, 8, 5, "10"},
    {2, kRgb, 8, 5, "20"},
    {2, kRgb, 8, 6, "000"},
    {2, kRgb, 8, 6, "100"},
    {2, kRgb, 8, 6, "200"},
    {2, kRgb, 16, 3},
    {2, kRgb, 16, 4},
    {2, kRgb, 16, 4, "0"},
    {2, kRgb, 16, 4, "1"},
    {2, kRgb, 16, 4, "2"},
    {3, kIndexed, 1, 1, "", 1, kBoth, 2},
    {3, kIndexed, 2, 1, "", 1, kBoth, 2},
    {3, kIndexed, 4, 1, "", 1, kBoth, 2},
    {3, kIndexed, 8, 1, "", 1, kBoth, 2},
    {3, kIndexed, 8, 2, "0"},
    {3, kIndexed, 8, 2, "2"},
    {5, kCmyk, 8, 4},
    {5, kCmyk, 8, 5, "0"},
    {5, kCmyk, 8, 6, "00"},
    {5, kCmyk, 16, 4},
    {6, TiffColor::kYcbcr, 8, 3},
    {8, TiffColor::kLab, 8, 3},
});

std::string digits(const std::vector<int64_t>& values) {
  std::string text;
  for (const auto value : values) text += std::to_string(value);
  return text;
}

/// The first few, separated by commas.
std::string listed(const std::vector<int64_t>& values) {
  std::string text;
  for (size_t i = 0; i < values.size() && i < 6; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  }
  return text;
}

bool all_equal(const std::vector<int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

bool matches(const Row& row, const Key& key, bool little) {
  return row.photometric == key.photometric && row.format == key.format && key.fill_order >= 1 &&
         key.fill_order <= row.fill_order && (row.byte_orders & (little ? kLittle : kBig)) != 0 &&
         key.bits == std::vector<int64_t>(row.samples, row.bits) &&
         row.extras == digits(key.extras);
}

std::string name_of_photometric(int64_t photometric) {
  constexpr std::array<const char*, 11> names{
      "min-is-white", "min-is-black", "RGB",    "palette", "transparency mask", "CMYK", "YCbCr", "",
      "Lab",          "ICC Lab",      "ITU Lab"};
  if (photometric >= 0 && photometric <= 10 && photometric != 7) return names[photometric];
  return concat("photometric ", photometric);
}

std::string name_of_format(int64_t format) {
  constexpr std::array<const char*, 7> names{
      "samples",         "unsigned integers", "signed integers", "floats",
      "untyped samples", "complex integers",  "complex floats"};
  return names[format >= 0 && format <= 6 ? format : 0];
}

std::string name_of(const Key& key, bool little) {
  const auto bands = static_cast<int64_t>(key.bits.size());
  auto text = concat(bands, bands == 1 ? " band of " : " bands of ",
                     all_equal(key.bits) ? std::to_string(key.bits[0]) : listed(key.bits), "-bit ",
                     name_of_format(key.format), " (", name_of_photometric(key.photometric));
  if (!key.extras.empty()) {
    text +=
        key.extras[0] == 1 ? ", premultiplied alpha" : concat(", ", key.extras.size(), " extra");
  }
  if (key.fill_order != 1) text += ", fill order " + std::to_string(key.fill_order);
  return text + (little ? ")" : ", big-endian)");
}

/// One format for all samples; 0 when they differ.
int64_t common_format(const std::vector<int64_t>& formats) {
  if (formats.empty()) return 1;
  return all_equal(formats) ? formats[0] : 0;
}

/// In planar files, extra samples without a meaning can be ignored. Pillow fails on uncompressed
/// ones, which is mended here for colors; one of several gray planes is not an image.
bool ignores_extras(const Key& key, const TiffDirectory& directory) {
  const bool without_meaning =
      std::all_of(key.extras.begin(), key.extras.end(), [](int64_t extra) { return extra == 0; });
  const bool compressed = directory.value_or(TiffTag::kCompression, 1) != kUncompressed;
  return without_meaning && (compressed || key.photometric == 2 || key.photometric == 5);
}

Key read_key(const TiffDirectory& directory, bool planar, int64_t samples) {
  Key key;
  key.photometric = directory.value(TiffTag::kCompression) == kOldJpeg
                        ? 6
                        : directory.value_or(TiffTag::kPhotometric, 0);
  key.format = common_format(directory.values(TiffTag::kSampleFormat));
  key.fill_order = directory.value_or(TiffTag::kFillOrder, 1);
  key.extras = directory.values(TiffTag::kExtraSamples);
  key.bits = directory.values(TiffTag::kBitsPerSample);
  if (key.bits.empty()) key.bits = {1};
  // One number applies to all samples; superfluous ones are ignored.
  if (key.bits.size() == 1) key.bits.assign(samples, key.bits[0]);
  key.bits.resize(samples);
  if (planar && ignores_extras(key, directory)) {
    key.bits.resize(std::max(key.bits.size(), key.extras.size()) - key.extras.size());
    key.extras.clear();
  }
  return key;
}

int64_t samples_of(const TiffDirectory& directory) {
  const int64_t photometric = directory.value_or(TiffTag::kPhotometric, 0);
  const bool old_jpeg = directory.value(TiffTag::kCompression) == kOldJpeg;
  return directory.value_or(TiffTag::kSamplesPerPixel,
                            old_jpeg && (photometric == 2 || photometric == 6) ? 3 : 1);
}

/// Whether each sample has a letter in Pillow's mode, which of alphas only the unassociated one
/// has.
bool takes_raw_planes(const Row& row) {
  return (row.color == kRgb || row.color == kCmyk) &&
         (row.extras.empty() || row.extras.starts_with('2'));
}

/// Why Pillow's pixels are not the intended ones; empty if they are.
std::string mistake_of(const TiffLayout& layout) {
  if (layout.raw_planes && layout.bits == 16) {
    return "Pillow takes bytes for samples of planes of 16 bits that are not compressed";
  }
  if (layout.swapped) return "Pillow exchanges the bytes of compressed big-endian samples twice";
  if (layout.planar && layout.color == TiffColor::kLab) {
    return "Pillow takes the signed samples of planes of Lab for unsigned ones";
  }
  return "";
}

}  // namespace

int64_t TiffLayout::used_samples() const {
  switch (color) {
    case TiffColor::kIndexed:
    case TiffColor::kWideGray:
      return 1;
    case TiffColor::kCmyk:
      return 4;
    case TiffColor::kRgb:
      return premultiplied ? 4 : 3;
    default:
      return 3;
  }
}

TiffLayout read_tiff_layout(const TiffDirectory& directory, const std::string& name) {
  constexpr const char* kExpected =
      ": expected a TIFF of gray, RGB, palette, CMYK, YCbCr or Lab pixels in a layout that Pillow "
      "reads, got ";
  TiffLayout layout;
  layout.width = directory.value_or(TiffTag::kWidth, 0);
  layout.height = directory.value_or(TiffTag::kHeight, 0);
  layout.orientation = directory.orientation();
  layout.compression = directory.value_or(TiffTag::kCompression, 1);
  layout.planar = directory.value_or(TiffTag::kPlanarConfiguration, 1) == 2;
  layout.samples = samples_of(directory);
  IBOT_CHECK_AS(DataError, layout.samples >= 1 && layout.samples <= UINT16_MAX, name, kExpected,
                layout.samples, " bands");
  const Key key = read_key(directory, layout.planar, layout.samples);
  const bool little = directory.little_endian();
  const auto* row = std::find_if(kRows.begin(), kRows.end(),
                                 [&](const Row& each) { return matches(each, key, little); });
  IBOT_CHECK_AS(DataError, row != kRows.end(), name, kExpected, name_of(key, little));
  layout.color = row->color;
  layout.format = static_cast<TiffSampleFormat>(row->format);
  layout.palette = row->photometric == 3;
  IBOT_CHECK_AS(DataError, !layout.palette || !directory.content(TiffTag::kColorMap).empty(), name,
                ": TIFF file is truncated or damaged: no color map for its palette");
  layout.inverted = row->photometric == 0 && row->color == kIndexed;
  layout.bits = row->bits;
  const bool compressed = layout.compression != kUncompressed;
  // Pillow takes a fourth compressed plane without a meaning for premultiplied alpha.
  const bool unnamed = layout.planar && compressed && key.extras.empty();
  // Pillow does not read big-endian BigTIFF.
  const bool read_by_pillow = little || !directory.big();
  layout.raw_planes = read_by_pillow && layout.planar && !compressed && takes_raw_planes(*row) &&
                      layout.samples == row->samples;
  // libtiff has already swapped these to native order; Pillow swaps them again.
  layout.swapped = read_by_pillow && compressed && !little && row->color == kWide &&
                   (row->bits == 32 || row->format == 2);
  layout.premultiplied = row->color == kRgb && row->samples >= 4 &&
                         (unnamed || (!key.extras.empty() && key.extras[0] == 1));
  layout.mistake = mistake_of(layout);
  return layout;
}

}  // namespace ibot::data
