#include "ibot/coco/image_set.h"

#include "ibot/base/error.h"
#include "ibot/base/hash.h"

namespace ibot::coco {

ImageSet open_image_set(const std::filesystem::path& root, const std::string& images,
                        const std::string& annotations) {
  const auto file = root / annotations;
  IBOT_CHECK_AS(DataError, std::filesystem::is_regular_file(file), file.string(),
                ": expected annotations in COCO's format, found none; detect.train_annotations and "
                "detect.val_annotations name them");
  auto set = read_annotations(file);
  std::vector<data::FileList::Entry> files;
  for (const auto& image : set.images) files.push_back({(root / images / image.file).string(), 0});
  return {std::move(set), {(root / images).string(), std::move(files), {""}}};
}

std::string content_hash(const ImageSet& set) {
  Hash hash;
  hash.add(set.images.content_hash());
  for (const auto& category : set.annotated.categories) {
    hash.add(concat(category.id, ' ', category.name, '\n'));
  }
  for (const auto& objects : set.annotated.objects) {
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
