#include "ibot/batch/multi_crop_batch.h"

#include "ibot/base/error.h"

namespace ibot::batch {
namespace {

/// Images [first, first + count) of `images`.
struct Range {
  int64_t images;
  int64_t first;
  int64_t count;
};

/// The crops of some images, from rows in crop-major order; pinned if the rows are.
torch::Tensor crops_of(const torch::Tensor& rows, const Range& range) {
  if (!rows.defined()) return rows;
  const auto part =
      rows.unflatten(0, {-1, range.images}).narrow(1, range.first, range.count);  // [V, b, ...]
  // A copy of its own: rows of a part are not next to each other.
  return torch::empty(part.sizes(), part.options().pinned_memory(part.is_pinned()))
      .copy_(part)
      .flatten(0, 1);
}

/// Indices within the range of patches indexed over all images' crops; -1 if outside the range.
///
///   index    [M]   int64, (crop * images + image) * patches + patch
///   patches        per crop
torch::Tensor places_of(const torch::Tensor& index, int64_t patches, const Range& range) {
  // Views are crop-major: crop · images + image.
  const auto view = index.floor_divide(patches);
  const auto image = view.remainder(range.images) - range.first;
  const auto crop = view.floor_divide(range.images);
  const auto place = (crop * range.count + image) * patches + index.remainder(patches);
  return torch::where(image.ge(0).logical_and(image.lt(range.count)), place, -1);
}

/// Indices into all patches of the teacher, those of global crops first.
torch::Tensor teacher_places(const MultiCropBatch& batch, const Range& range) {
  const auto& index = batch.pairs.teacher;
  const auto global = batch.mask.numel();
  const auto own = places_of(index, batch.mask.size(1), range);
  if (!batch.local_mask.defined()) return own;
  // Local patches follow the global ones of this part, which are fewer.
  const auto offset = global / range.images * range.count;
  const auto local = places_of(index - global, batch.local_mask.size(1), range);
  return torch::where(index.lt(global), own, torch::where(local.ge(0), local + offset, local));
}

torch::Tensor kept(const torch::Tensor& places) { return places.masked_select(places.ge(0)); }

PatchPairs pairs_of(const MultiCropBatch& batch, const Range& range) {
  const auto& pairs = batch.pairs;
  const auto student = places_of(pairs.student, batch.mask.size(1), range);
  auto all = student;
  PatchPairs part{.student = kept(student),
                  .student_local = {},
                  .teacher = {},
                  .weight = {},
                  .views = pairs.views / range.images * range.count};
  if (pairs.student_local.defined()) {
    const auto local = places_of(pairs.student_local, batch.local_mask.size(1), range);
    part.student_local = kept(local);
    all = torch::cat({student, local});
  }
  part.weight = pairs.weight.masked_select(all.ge(0));
  // Both crops of a pair show the same image, so both are inside the range or neither is.
  if (pairs.teacher.defined()) part.teacher = kept(teacher_places(batch, range));
  return part;
}

}  // namespace

void index_pairs(MultiCropBatch& batch, mask::PatchPairing pairing, mask::PatchGrid grid) {
  switch (pairing) {
    case mask::PatchPairing::kMasked:
      batch.pairs = masked_pairs(batch.mask, batch.local_mask);
      break;
    case mask::PatchPairing::kPosition:
      batch.pairs = pairs_by_position(batch.crop_box, grid);
      break;
    case mask::PatchPairing::kFeature:
      batch.pairs = pairs_by_feature(batch.mask.size(0), batch.mask.size(1));
      break;
  }
}

std::vector<MultiCropBatch> split(const MultiCropBatch& batch, int64_t parts) {
  if (parts == 1) return {batch};
  const auto images = batch.sample_id.size(0);
  IBOT_CHECK(parts > 0 && images % parts == 0, "split: expected a divisor of ", images,
             " images, got ", parts);
  std::vector<MultiCropBatch> all;
  for (int64_t part = 0; part < parts; ++part) {
    const Range range{images, part * (images / parts), images / parts};
    all.push_back({.global = crops_of(batch.global, range),
                   .local = crops_of(batch.local, range),
                   .mask = crops_of(batch.mask, range),
                   .local_mask = crops_of(batch.local_mask, range),
                   .crop_box = crops_of(batch.crop_box, range),
                   .pairs = pairs_of(batch, range),
                   .sample_id = batch.sample_id.narrow(0, range.first, range.count),
                   .label = batch.label.narrow(0, range.first, range.count)});
  }
  return all;
}

MultiCropBatch prepared(const MultiCropBatch& batch, torch::Device device,
                        const Normalization& normalization) {
  // Overlaps with computation if the batch is pinned.
  const auto moved = [device](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.to(device, /*non_blocking=*/true) : tensor;
  };
  const auto crops = [&](const torch::Tensor& pixels) {
    return pixels.defined() ? normalized(moved(pixels), normalization) : pixels;
  };
  const auto& pairs = batch.pairs;
  return {.global = crops(batch.global),
          .local = crops(batch.local),
          .mask = moved(batch.mask),
          .local_mask = moved(batch.local_mask),
          .crop_box = batch.crop_box,
          .pairs = {moved(pairs.student), moved(pairs.student_local), moved(pairs.teacher),
                    moved(pairs.weight), pairs.views},
          .sample_id = batch.sample_id,
          .label = batch.label};
}

}  // namespace ibot::batch
