// Recognition of images by file name.
#pragma once

#include <string>
#include <string_view>

namespace ibot::data {

/// Whether the name has the extension of an image, in either case; see ImageFolder.
bool is_image_name(std::string_view name);

/// Those extensions, for messages: ".jpg .jpeg ...".
std::string known_endings();

/// Index of the name's extension in that list; the lowest wins if a sample has several images. -1
/// if the name is not that of an image.
int image_rank(std::string_view name);

}  // namespace ibot::data
