// The calls of a pickle, none of which is made.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/pickle_stack.h"

namespace ibot::io {

/// Of calls only those that make tensors, containers, numbers and text become such nodes; any other
/// becomes an opaque one. What is called lies on the stack; its node replaces it.
class PickleCalls : public PickleStack {
 public:
  using PickleStack::PickleStack;

 protected:
  /// With the items of a tuple.
  void call(NodeId arguments);
  void call(const std::vector<NodeId>& arguments);
  /// An object of the class `callee`, or what the function returns. Of an object's methods too.
  void push_object(NodeId callee);
  /// The state of an object nobody asks for is dropped, as is a state dict's only attribute
  /// `_metadata`, the versions of its layers.
  void build();
  /// Of a persistent identifier.
  void push_storage();
  /// Names that are put together from the same two texts are one node, however often.
  void push_global(NodeId module, NodeId name);
  /// To the list on top.
  void append(const std::vector<NodeId>& items);
  /// Keys and values in turn, of the dict on top, or of an object that holds entries.
  void set_items(const std::vector<NodeId>& items);

 private:
  /// Pushes what the call makes where that is a value; false where it is none.
  bool push_value(const std::string& name, const std::vector<NodeId>& arguments);
  template <class T>
  bool push_same(NodeId id) {
    if (!holds<T>(id)) return false;
    push_known(id);
    return true;
  }
  /// Python 2 hands over the entries, as a list of pairs.
  bool push_ordered_dict(const std::vector<NodeId>& arguments);
  /// Of a class of tensors: the plain tensor.
  bool push_subclass(const std::vector<NodeId>& arguments);
  bool push_reconstructed(const std::vector<NodeId>& arguments);
  bool push_tensor(const std::vector<NodeId>& arguments, size_t least, bool with_dtype);
  std::vector<int64_t> integers(NodeId id) const;
  /// Protocol 2 has no bytes: Python writes them as text, one character a byte.
  bool push_encoded(const std::vector<NodeId>& arguments);
  bool push_dtype(const std::vector<NodeId>& arguments);
  bool push_scalar(const std::vector<NodeId>& arguments);

  std::map<std::pair<NodeId, NodeId>, NodeId> globals_;  // by module and name
};

}  // namespace ibot::io
