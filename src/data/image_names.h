// Which files are images, by name.
#pragma once

#include <string_view>

namespace ibot::data {

/// Whether the name ends in an extension of an image, in either case; see ImageFolder.
bool is_image_name(std::string_view name);

}  // namespace ibot::data
