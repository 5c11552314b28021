// The calls in a pickle: recognized by name, never made.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/pickle_stack.h"

namespace ibot::io {

/// Calls that produce tensors, containers, numbers or strings become nodes of those kinds; any
/// other becomes an opaque node. The callee is on the stack and is replaced by the node.
class PickleCalls : public PickleStack {
 public:
  using PickleStack::PickleStack;

 protected:
  /// Arguments are the items of a tuple.
  void call(NodeId arguments);
  void call(const std::vector<NodeId>& arguments);
  /// An opaque node for an instance of the class, or for the result of the function or method,
  /// `callee`.
  void push_object(NodeId callee);
  /// BUILD: the attributes of opaque objects are dropped, as is `_metadata`, the layer versions,
  /// which is the only attribute of a state dict.
  void build();
  /// BINPERSID: a storage described by its persistent id.
  void push_storage();
  /// A global assembled from two strings; equal pairs give one node, so repeats take no memory.
  void push_global(NodeId module, NodeId name);
  /// Appends to the list on top of the stack.
  void append(const std::vector<NodeId>& items);
  /// Adds alternating keys and values to the dict, or to the dict-like object, on top of the stack.
  void set_items(const std::vector<NodeId>& items);

 private:
  /// Pushes the result of the call if it is a value; otherwise pushes nothing and returns false.
  bool push_value(const std::string& name, const std::vector<NodeId>& arguments);
  template <class T>
  bool push_same(NodeId id) {
    if (!holds<T>(id)) return false;
    push_known(id);
    return true;
  }
  /// Python 2 passes the entries as a list of pairs.
  bool push_ordered_dict(const std::vector<NodeId>& arguments);
  /// For a tensor subclass: the plain tensor.
  bool push_subclass(const std::vector<NodeId>& arguments);
  bool push_reconstructed(const std::vector<NodeId>& arguments);
  bool push_tensor(const std::vector<NodeId>& arguments, size_t least, bool with_dtype);
  std::vector<int64_t> integers(NodeId id) const;
  /// Protocol 2 has no bytes type: Python writes latin-1 text, one character per byte.
  bool push_encoded(const std::vector<NodeId>& arguments);
  bool push_dtype(const std::vector<NodeId>& arguments);
  bool push_scalar(const std::vector<NodeId>& arguments);
  /// From a buffer, as protocol 5 makes them.
  bool push_array(const std::vector<NodeId>& arguments);
  /// The state that makes an array of the object on top.
  void build_array(NodeId state);

  std::map<std::pair<NodeId, NodeId>, NodeId> globals_;  // by module and name
};

}  // namespace ibot::io
