#include "ibot/config/run_config.h"

#include "ibot/config/yaml.h"

namespace ibot::config {
namespace {

void check_whole_patches(const char* key, int64_t size, int64_t patch_size) {
  check_option(size % patch_size == 0, key, "expected a multiple of backbone.patch_size ",
               patch_size, ", got ", size);
}

}  // namespace

void validate(const RunConfig& config) {
  validate_sections(config);
  const data::AugmentOptions& augment = config.augment;
  check_whole_patches("augment.global_size", augment.global_size, config.backbone.patch_size);
  if (augment.local_crops > 0) {
    check_whole_patches("augment.local_size", augment.local_size, config.backbone.patch_size);
  }
}

}  // namespace ibot::config
