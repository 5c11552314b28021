// Images with their annotations, as files.
#pragma once

#include <filesystem>
#include <string>

#include "ibot/coco/annotations.h"
#include "ibot/data/file_list.h"

namespace ibot::coco {

/// An image has the same place in `images` and `annotated.images`.
struct ImageSet {
  AnnotatedSet annotated;
  data::FileList images;
};

/// The images that the annotations ROOT/`annotations` list, in ROOT/`images`; their headers are
/// read. Throws DataError as read_annotations and FileList do, and on an image of another size than
/// annotated.
ImageSet open_image_set(const std::filesystem::path& root, const std::string& images,
                        const std::string& annotations);

/// Of the images' content, of what is annotated, and of the categories.
std::string content_hash(const ImageSet& set);

}  // namespace ibot::coco
