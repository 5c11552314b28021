// Recognition of files that users mistake for weights.
#pragma once

#include <string>
#include <string_view>

namespace ibot::io {

/// The format of a file that begins with `bytes`, and the remedy: "a pointer of Git LFS; fetch the
/// file itself with git lfs pull". Empty if unknown. To be called only after a file has been
/// refused: a safetensors file may begin with any byte.
std::string foreign_format(std::string_view bytes);

}  // namespace ibot::io
