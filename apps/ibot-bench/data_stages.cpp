#include "ibot-bench/data_stages.h"

#include <ATen/ops/empty.h>
#include <time.h>

#include <array>

#include "common/loader_of_config.h"
#include "common/run_main.h"
#include "ibot/batch/normalization.h"
#include "ibot/codec/decode.h"
#include "ibot/image/augment.h"
#include "ibot/image/pixel_ops.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::apps {
namespace {

enum Stage { kRead, kDecode, kCropResize, kJitter, kHue, kGray, kBlur, kCopy, kStages };
constexpr std::array<const char*, kStages> kNames{"read", "decode", "crop", "jitter",
                                                  "hue",  "gray",   "blur", "copy"};

using StageSeconds = std::array<double, kStages>;

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Sums the CPU time of each stage.
class StageClock {
 public:
  template <class Work>
  auto run(Stage stage, Work&& work) {
    struct Timer {
      double& sum;
      double start = thread_seconds();
      ~Timer() { sum += thread_seconds() - start; }
    } timer{seconds_[stage]};
    return work();
  }

  const StageSeconds& seconds() const { return seconds_; }

 private:
  StageSeconds seconds_{};
};

/// The stages of one image after the other.
class StagedImages {
 public:
  explicit StagedImages(const config::RunConfig& config)
      : augment_(config.augment), decode_(config.data.decode) {
    for (const auto& [count, side] : {std::pair{augment_.global_crops, augment_.global_size},
                                      {augment_.local_crops, augment_.local_size}}) {
      crops_.push_back(at::empty({count, 3, side, side}, at::kByte));
    }
  }

  void run(const data::Dataset& images, int64_t sample) {
    const auto bytes = clock_.run(kRead, [&] { return images.read(sample); });
    const auto image =
        clock_.run(kDecode, [&] { return data::decode(bytes, images.path(sample), decode_); });
    clock_.run(kCropResize, [&] { planes_.assign(image); });
    for (int64_t i = 0; i < augment_.global_crops + augment_.local_crops; ++i) {
      Rng rng(0, 0, static_cast<uint64_t>(sample), kCrop + static_cast<uint32_t>(i));
      change(i, rng);
    }
    clock_.run(kCopy, [&] {
      for (const auto& crops : crops_) batch::normalized(crops, augment_.normalization);
    });
  }

  const StageSeconds& seconds() const { return clock_.seconds(); }

 private:
  data::CropView view(int64_t crop) const {
    const bool local = crop >= augment_.global_crops;
    const auto& crops = crops_[local ? 1 : 0];
    const auto row = crops[local ? crop - augment_.global_crops : crop];
    return {row.mutable_data_ptr<uint8_t>(), row.size(1), row.size(2)};
  }

  void change(int64_t crop, Rng& rng) {
    const auto out = view(crop);
    const bool local = crop >= augment_.global_crops;
    clock_.run(kCropResize, [&] {
      const auto& scale = local ? augment_.local_scale : augment_.global_scale;
      const data::ResizePlan plan{
          .box = data::sample_box(planes_.height(), planes_.width(), scale, rng),
          .height = out.height,
          .width = out.width,
          .flip = rng.uniform() < augment_.flip_prob};
      data::resized_crop(planes_, plan, out);
    });
    if (rng.uniform() < augment_.jitter_prob) {
      clock_.run(kJitter, [&] {
        const auto& [brightness, contrast, saturation] =
            std::array{augment_.brightness, augment_.contrast, augment_.saturation};
        data::color_jitter_(out, {brightness, contrast, saturation, 0.0}, rng);
      });
      clock_.run(kHue, [&] { data::adjust_hue_(out, rng.uniform(-augment_.hue, augment_.hue)); });
    }
    clock_.run(kGray, [&] {
      if (rng.uniform() < augment_.grayscale_prob) data::to_grayscale_(out);
      if (crop > 0 && !local && rng.uniform() < augment_.solarize_prob) data::solarize_(out);
    });
    const double blur_prob = local       ? augment_.blur_prob_local
                             : crop == 0 ? augment_.blur_prob_first
                                         : augment_.blur_prob_second;
    clock_.run(kBlur, [&] {
      if (rng.uniform() < blur_prob) data::gaussian_blur_(out, rng.uniform(0.1, 2.0));
    });
  }

  const data::AugmentOptions augment_;
  const data::DecodeOptions decode_;
  data::ColumnPlanes planes_;
  std::vector<torch::Tensor> crops_;
  StageClock clock_;
};

}  // namespace

void bench_data_stages(const config::RunConfig& config, const std::string& folder, int repetitions,
                       Figures& figures) {
  const auto images = open_input([&] { return data::open_images(folder, data::Labels::kIgnored); });
  std::array<BenchTimes, kStages> times;
  for (int repetition = -1; repetition < repetitions; ++repetition) {
    StagedImages staged(config);
    for (int64_t sample = 0; sample < images->size(); ++sample) staged.run(*images, sample);
    if (repetition < 0) continue;  // warms up
    for (int stage = 0; stage < kStages; ++stage) {
      times[stage].seconds.push_back(staged.seconds()[stage]);
    }
  }
  for (int stage = 0; stage < kStages; ++stage) {
    figures.add(
        {.name = concat("data.", kNames[stage]), .images = static_cast<double>(images->size())},
        std::move(times[stage]), torch::kCPU);
  }
}

}  // namespace ibot::apps
