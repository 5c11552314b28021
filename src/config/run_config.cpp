#include "ibot/config/run_config.h"

namespace ibot::config {

template Sections sections_of(RunConfig& config);
template void validate_sections(RunConfig config);

namespace {

void check_whole_patches(const char* key, int64_t size, int64_t patch_size) {
  check_option(size % patch_size == 0, key, "expected a multiple of backbone.patch_size ",
               patch_size, ", got ", size, "; set ", key, "=",
               (size / patch_size + 1) * patch_size);
}

/// Masks are defined on the grid of output tokens, which is coarser in networks with stages.
void check_whole_tokens(const char* key, int64_t size, const models::BackboneOptions& backbone) {
  const auto pixels = models::token_pixels(backbone);
  check_option(size % pixels == 0, key, "expected a multiple of ", pixels,
               ", the pixels of an output token of ", backbone.arch, ", got ", size);
}

/// Checks that the crops whose patches take part in the loss exist.
void check_learning_crops(const mask::MaskOptions& mask, const data::AugmentOptions& augment) {
  check_option(mask.views != mask::MaskViews::kAll || augment.local_crops > 0, "mask.views",
               "expected global or first_global without local crops, got all");
  check_option(mask.pairs == mask::PatchPairing::kMasked || augment.global_crops == 2,
               "augment.global_crops", "expected 2 with mask.pairs ", enum_name(mask.pairs),
               ", got ", augment.global_crops);
}

/// Batch statistics of a micro-batch differ from those of the batch.
void check_accumulation(const train::TrainOptions& train, models::HeadNorm norm) {
  const bool whole = norm == models::HeadNorm::kNone || norm == models::HeadNorm::kLayer;
  check_option(train.accumulate_steps == 1 || whole, "train.accumulate_steps",
               "expected 1 with head.norm ", enum_name(norm),
               ", whose statistics need the whole batch, got ", train.accumulate_steps);
}

}  // namespace

void validate(const RunConfig& config) {
  validate_sections(config);
  const data::AugmentOptions& augment = config.augment;
  check_whole_patches("augment.global_size", augment.global_size, config.backbone.patch_size);
  check_whole_tokens("augment.global_size", augment.global_size, config.backbone);
  if (augment.local_crops > 0) {
    check_whole_patches("augment.local_size", augment.local_size, config.backbone.patch_size);
  }
  if (!config.eval.path.empty()) {
    check_whole_patches("eval.crop_size", config.eval.crop_size, config.backbone.patch_size);
  }
  check_learning_crops(config.mask, augment);
  check_accumulation(config.train, config.head.norm);
  if (config.mask.views == mask::MaskViews::kAll) {
    check_whole_tokens("augment.local_size", augment.local_size, config.backbone);
  }
}

}  // namespace ibot::config
