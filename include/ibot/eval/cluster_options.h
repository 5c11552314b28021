// Options of the prototypes as clusters: none of their own yet.
#pragma once

namespace ibot::eval {

struct ClusterOptions {
  static constexpr const char* kSection = "cluster";

  template <class Visitor>
  void fields(Visitor&& /*field*/) {}

  void validate() const {}
};

}  // namespace ibot::eval
