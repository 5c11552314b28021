// Names of element types in PyTorch's files.
#pragma once

#include <torch/types.h>

#include <array>
#include <string_view>

namespace ibot::io {

struct StorageClass {
  std::string_view storage;  // "FloatStorage"; empty: only untyped storages hold the type
  std::string_view dtype;    // "float32"
  torch::ScalarType type;
};

inline constexpr std::array<StorageClass, 22> kStorageClasses{
    {{"FloatStorage", "float32", torch::kFloat},
     {"DoubleStorage", "float64", torch::kDouble},
     {"HalfStorage", "float16", torch::kHalf},
     {"BFloat16Storage", "bfloat16", torch::kBFloat16},
     {"LongStorage", "int64", torch::kLong},
     {"IntStorage", "int32", torch::kInt},
     {"ShortStorage", "int16", torch::kShort},
     {"CharStorage", "int8", torch::kChar},
     {"ByteStorage", "uint8", torch::kByte},
     {"BoolStorage", "bool", torch::kBool},
     {"ComplexFloatStorage", "complex64", torch::kComplexFloat},
     {"ComplexDoubleStorage", "complex128", torch::kComplexDouble},
     {"QInt8Storage", "qint8", torch::kQInt8},
     {"QUInt8Storage", "quint8", torch::kQUInt8},
     {"QInt32Storage", "qint32", torch::kQInt32},
     {"", "uint16", torch::kUInt16},
     {"", "uint32", torch::kUInt32},
     {"", "uint64", torch::kUInt64},
     {"", "float8_e4m3fn", torch::kFloat8_e4m3fn},
     {"", "float8_e5m2", torch::kFloat8_e5m2},
     {"", "float8_e4m3fnuz", torch::kFloat8_e4m3fnuz},
     {"", "float8_e5m2fnuz", torch::kFloat8_e5m2fnuz}}};

}  // namespace ibot::io
