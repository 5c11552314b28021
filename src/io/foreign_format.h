// Files that are taken for weights and are none.
#pragma once

#include <string>
#include <string_view>

namespace ibot::io {

/// What a file is that begins with `bytes`, and what to do about it: "a pointer of Git LFS; fetch
/// the file itself with git lfs pull". Empty where its beginning tells nothing. Asked once the file
/// is refused: a safetensors file may begin with any byte.
std::string foreign_format(std::string_view bytes);

}  // namespace ibot::io
