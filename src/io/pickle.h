// The subset of Python's pickle format that files of tensors use. Nothing in a pickle is executed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ibot::io {

using NodeId = uint32_t;

struct PickleBytes {
  std::string value;
};

struct PickleList {
  std::vector<NodeId> items;
  bool tuple = false;
};

/// Keys and values alternate.
struct PickleDict {
  std::vector<NodeId> items;
  std::string type;
};

/// A class or function: "module name".
struct PickleGlobal {
  std::string name;
};

/// Any other object: of the class `global`, or of a builtin `kind` ("set").
struct PickleOpaque {
  NodeId global = 0;
  const char* kind = nullptr;
};

/// A NumPy dtype: "f8".
struct PickleDtype {
  std::string code;
  bool big_endian = false;
};

/// A NumPy array; `dtype` and `data` are what its state named, of whatever kind.
struct PickleArray {
  std::vector<int64_t> sizes;
  NodeId dtype = 0;
  NodeId data = 0;  // bytes, or text of Python 2
  bool fortran = false;
};

/// `type` is the storage class: "FloatStorage"; `elements` counts elements of that class.
struct PickleStorage {
  std::string type;
  std::string key;
  int64_t elements = 0;
};

/// Offset, sizes and strides in elements; `dtype` ("float32") is empty if the storage class gives
/// it.
struct PickleTensor {
  NodeId storage = 0;
  int64_t offset = 0;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  std::string dtype;
};

using PickleNode = std::variant<std::monostate, bool, int64_t, double, std::string, PickleBytes,
                                PickleList, PickleDict, PickleGlobal, PickleOpaque, PickleDtype,
                                PickleArray, PickleStorage, PickleTensor>;

/// Nodes refer to each other by index; cycles are possible.
struct Pickle {
  std::vector<PickleNode> nodes;
  NodeId root = 0;
  size_t size = 0;  // bytes read
};

/// Reads the pickle at the beginning of `bytes`, of at most 64 MiB and 2^18 values. Memory stays
/// within a small multiple of what is read.
///
/// Objects other than tensors, containers, numbers and strings become opaque nodes; what the calls
/// in the pickle would produce is not evaluated.
///
/// Throws CheckpointError, its text beginning with `where`, on a damaged or oversized pickle.
/// Source: Python's `pickletools.py`; PyTorch's `_utils.py` and `serialization.py`.
Pickle read_pickle(std::string_view bytes, const std::string& where);

}  // namespace ibot::io
