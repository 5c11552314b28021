// Which files are images, by name.
#pragma once

#include <string_view>

namespace ibot::data {

/// Whether the name ends in an extension of an image, in either case; see ImageFolder.
bool is_image_name(std::string_view name);

/// Place of the name's extension in that list, the first where a sample has several images; -1
/// where the name is none of an image.
int image_rank(std::string_view name);

}  // namespace ibot::data
