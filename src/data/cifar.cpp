#include "ibot/data/cifar.h"

#include <algorithm>
#include <sstream>

#include "data/file_bytes.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32;
constexpr int64_t kPlane = kSide * kSide;
constexpr int64_t kPixels = 3 * kPlane;

/// Differences between the two sets. A record is label bytes, of which the last is the (fine)
/// class, then 3 planes of 32 x 32 bytes.
struct CifarLayout {
  const char* folder;
  const char* names;
  size_t classes;
  int64_t label_bytes;
  std::vector<const char*> train;
  const char* test;
};

CifarLayout layout_of(CifarKind kind) {
  if (kind == CifarKind::kCifar10) {
    return {"cifar-10-batches-bin",
            "batches.meta.txt",
            10,
            1,
            {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
             "data_batch_5.bin"},
            "test_batch.bin"};
  }
  return {"cifar-100-binary", "fine_label_names.txt", 100, 2, {"train.bin"}, "test.bin"};
}

std::vector<std::string> read_names(const fs::path& file, size_t classes) {
  const auto bytes = file_bytes(file.string());
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    // The list of names ends with empty lines.
    while (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  IBOT_CHECK_AS(DataError, names.size() == classes, file.string(), ": expected ", classes,
                " names, got ", names.size());
  return names;
}

}  // namespace

Cifar::Cifar(const fs::path& root, CifarKind kind, Split split) {
  const auto layout = layout_of(kind);
  const fs::path folder = fs::is_directory(root / layout.folder) ? root / layout.folder : root;
  IBOT_CHECK_AS(DataError, fs::exists(folder / layout.test), "cifar: expected ", layout.test,
                " in ", folder.string(), ", found none; the binary version is needed, ",
                layout.folder);
  class_names_ = read_names(folder / layout.names, layout.classes);
  if (split == Split::kVal) {
    add_file(folder / layout.test, kind);
  } else {
    for (const char* name : layout.train) add_file(folder / name, kind);
  }
}

void Cifar::add_file(const fs::path& file, CifarKind kind) {
  const int64_t label_bytes = layout_of(kind).label_bytes;
  const int64_t record = label_bytes + kPixels;
  const auto bytes = file_bytes(file.string());
  const auto length = static_cast<int64_t>(bytes.size());
  IBOT_CHECK_AS(DataError, length > 0 && length % record == 0, file.string(),
                ": expected whole records of ", record, " bytes, got ", length, " bytes");
  // Samples of a file follow those of the files before it.
  files_.push_back({file.string(), size()});
  for (int64_t begin = 0; begin < length; begin += record) {
    // Records: label, then 3 planes. CIFAR-100 has the coarse label before the fine one.
    const uint8_t label = bytes[begin + label_bytes - 1];
    IBOT_CHECK_AS(DataError, label < class_names_.size(), file.string(), ":", begin / record,
                  ": expected a label below ", class_names_.size(), ", got ", int{label});
    labels_.push_back(label);
    const auto pixels = bytes.begin() + begin + label_bytes;
    pixels_.insert(pixels_.end(), pixels, pixels + kPixels);
  }
}

std::string Cifar::path(int64_t sample) const {
  const auto after = [](int64_t value, const File& file) { return value < file.first_sample; };
  const auto& file = *std::prev(std::upper_bound(files_.begin(), files_.end(), sample, after));
  return file.path + ":" + std::to_string(sample - file.first_sample);
}

std::vector<uint8_t> Cifar::read(int64_t sample) const {
  // As a PPM file, so that one decoder serves all data sets. Records hold planes, a PPM pixels.
  const std::string header = "P6 32 32 255\n";
  std::vector<uint8_t> pixmap(header.begin(), header.end());
  const uint8_t* planes = pixels_.data() + sample * kPixels;
  for (int64_t pixel = 0; pixel < kPlane; ++pixel) {
    for (int64_t channel = 0; channel < 3; ++channel) {
      pixmap.push_back(planes[channel * kPlane + pixel]);
    }
  }
  return pixmap;
}

}  // namespace ibot::data
