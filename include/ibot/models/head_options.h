// Options of the projection head.
#pragma once

#include <cstdint>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace models {

enum class HeadNorm { kNone, kBatch, kSyncBatch, kCenterSyncBatch, kLayer };
enum class HeadActivation { kGelu, kRelu };

struct HeadOptions {
  int64_t prototypes = 8192;
  int64_t patch_prototypes = 8192;
  bool shared = true;
  bool shared_teacher = true;
  int64_t layers = 3;
  int64_t hidden_dim = 2048;
  int64_t bottleneck_dim = 256;
  bool norm_last_layer = true;
  HeadNorm norm = HeadNorm::kNone;
  HeadActivation activation = HeadActivation::kGelu;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("prototypes", prototypes, "output dimension for class tokens");
    field("patch_prototypes", patch_prototypes, "output dimension for patch tokens if not shared");
    field("shared", shared, "share the student's prototypes between class and patch tokens");
    field("shared_teacher", shared_teacher, "share the teacher's prototypes likewise");
    field("layers", layers, "linear layers before the prototypes");
    field("hidden_dim", hidden_dim, "width of the hidden layers");
    field("bottleneck_dim", bottleneck_dim, "width of the L2-normalized bottleneck; 0: none");
    field("norm_last_layer", norm_last_layer, "keep the student's prototypes at unit norm");
    field("norm", norm, "norm after each hidden layer: none | bn | syncbn | csyncbn | ln");
    field("activation", activation, "activation of hidden layers: gelu | relu");
  }

  void validate() const {
    check_option(prototypes > 1, "prototypes", "expected above 1, got ", prototypes);
    check_option(patch_prototypes > 1, "patch_prototypes", "expected above 1, got ",
                 patch_prototypes);
    check_option(
        !shared || shared_teacher, "shared_teacher",
        "expected true with head.shared, got false; the teacher's second layer would never "
        "be averaged");
    check_option(shared || !shared_teacher || prototypes == patch_prototypes, "patch_prototypes",
                 "expected head.prototypes ", prototypes,
                 " while the teacher's head is shared, got ", patch_prototypes);
    check_option(layers >= 1, "layers", "expected 1 or more, got ", layers);
    check_option(hidden_dim > 0, "hidden_dim", "expected above 0, got ", hidden_dim);
    check_option(bottleneck_dim >= 0, "bottleneck_dim", "expected 0 or more, got ", bottleneck_dim);
  }
};

}  // namespace models

template <>
struct EnumNames<models::HeadNorm> {
  static constexpr std::array<std::pair<models::HeadNorm, std::string_view>, 5> values{
      {{models::HeadNorm::kNone, "none"},
       {models::HeadNorm::kBatch, "bn"},
       {models::HeadNorm::kSyncBatch, "syncbn"},
       {models::HeadNorm::kCenterSyncBatch, "csyncbn"},
       {models::HeadNorm::kLayer, "ln"}}};
};

template <>
struct EnumNames<models::HeadActivation> {
  static constexpr std::array<std::pair<models::HeadActivation, std::string_view>, 2> values{
      {{models::HeadActivation::kGelu, "gelu"}, {models::HeadActivation::kRelu, "relu"}}};
};

}  // namespace ibot
