// The names that PyTorch's files give to element types.
#pragma once

#include <torch/types.h>

#include <array>
#include <string_view>

namespace ibot::io {

struct StorageClass {
  std::string_view storage;  // "FloatStorage"
  std::string_view dtype;    // "float32"
  torch::ScalarType type;
};

inline constexpr std::array<StorageClass, 10> kStorageClasses{
    {{"FloatStorage", "float32", torch::kFloat},
     {"DoubleStorage", "float64", torch::kDouble},
     {"HalfStorage", "float16", torch::kHalf},
     {"BFloat16Storage", "bfloat16", torch::kBFloat16},
     {"LongStorage", "int64", torch::kLong},
     {"IntStorage", "int32", torch::kInt},
     {"ShortStorage", "int16", torch::kShort},
     {"CharStorage", "int8", torch::kChar},
     {"ByteStorage", "uint8", torch::kByte},
     {"BoolStorage", "bool", torch::kBool}}};

}  // namespace ibot::io
