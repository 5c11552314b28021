#include "ibot/coco/image_set.h"

#include "data/file_bytes.h"
#include "data/parallel.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/coco/view.h"
#include "ibot/codec/decode.h"

namespace ibot::coco {
namespace {

// Enough for most headers; a large thumbnail or color profile comes before a JPEG's.
constexpr size_t kHeaderBytes = size_t{1} << 14;
constexpr int64_t kWorkers = 8;

data::ImageSize size_in(const std::vector<uint8_t>& bytes, const std::string& path) {
  const auto header = data::read_header(bytes, path, data::as_opencv({}));
  return {header.height, header.width};
}

/// Reads the headers alone, and all of a file only where its header does not fit.
void check_image(const data::FileList& images, int64_t number, const AnnotatedImage& annotated) {
  const auto path = images.path(number);
  try {
    check_size(size_in(data::first_bytes(path, kHeaderBytes), path), annotated);
  } catch (const DataError&) {
    check_size(size_in(images.read(number), path), annotated);
  }
}

}  // namespace

ImageSet open_image_set(const std::filesystem::path& root, const std::string& images,
                        const std::string& annotations) {
  const auto file = root / annotations;
  IBOT_CHECK_AS(DataError, std::filesystem::is_regular_file(file), file.string(),
                ": expected annotations in COCO's format, found none; detect.train_annotations and "
                "detect.val_annotations name them");
  auto set = read_annotations(file);
  std::vector<data::FileList::Entry> files;
  // In the order of the annotated images, without classes.
  for (const auto& image : set.images) files.push_back({(root / images / image.file).string(), 0});
  ImageSet opened{std::move(set), {(root / images).string(), std::move(files), {""}}};
  data::for_each(opened.images.size(), kWorkers,
                 [&](int64_t i) { check_image(opened.images, i, opened.annotated.images[i]); });
  return opened;
}

std::string content_hash(const ImageSet& set) {
  Hash hash;
  hash.add(set.images.content_hash());
  for (const auto& category : set.annotated.categories) {
    hash.add(concat(category.id, ' ', category.name, '\n'));
  }
  for (const auto& objects : set.annotated.objects) {
    // The number separates images: objects cannot move from one to the next unnoticed.
    hash.add(concat(objects.size(), '\n'));
    for (const auto& object : objects) {
      hash.add(concat(object.label, ' ', object.crowd, ' ', object.ignored));
      hash.add(object.box.data(), sizeof(object.box));
      for (const auto& outline : object.segmentation.outlines) {
        hash.add(outline.data(), outline.size() * sizeof(double));
      }
      const auto& runs = object.segmentation.runs.counts;
      hash.add(runs.data(), runs.size() * sizeof(uint32_t));
    }
  }
  return hash.hex();
}

}  // namespace ibot::coco
