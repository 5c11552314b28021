#include "ibot/eval/segment_tuner.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/dense/weights.h"
#include "support/expect_tensor.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

constexpr int64_t kSide = 32;
constexpr int64_t kClasses = 3;
constexpr int64_t kStepsPerEpoch = 4;

SegmentOptions tiny_options() {
  SegmentOptions options;
  options.channels = 8;
  options.drop_path = 0.2;
  options.iterations = 8;
  options.batch_size = 4;
  options.lr = 2e-3;
  options.warmup_iterations = 2;
  options.transform.crop_size = kSide;
  options.stride = 20;
  options.run.precision = optim::Precision::kFp32;
  options.run.log_every_steps = 2;
  options.run.save_every_steps = 0;
  return options;
}

models::BackboneOptions tiny_vit() {
  return {.arch = "vit_tiny", .patch_size = 8, .embed_dim = 16, .depth = {4}, .heads = {2}};
}

/// Image i of the run: brightness tells the class of the left and of the right half, with noise.
/// Of a batch that `world` ranks share, rank r has the images r, r + world, ….
class HalvesSource : public batch::BatchSource<batch::SegmentationBatch> {
 public:
  HalvesSource(int64_t first, int64_t whole, int64_t rank = 0, int64_t world = 1)
      : next_(first), whole_(whole), rank_(rank), world_(world) {}

  std::optional<batch::SegmentationBatch> next() override {
    const auto number = next_++;
    auto label = torch::empty({whole_, kSide, kSide}, torch::kByte);
    for (int64_t i = 0; i < whole_; ++i) {
      label[i].slice(1, 0, kSide / 2).fill_((number + i) % kClasses);
      label[i].slice(1, kSide / 2).fill_((number + 2 * i + 1) % kClasses);
    }
    const auto noise = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(number));
    const auto image = (label.unsqueeze(1).to(torch::kFloat) * 80 + 30)
                           .expand({-1, 3, -1, -1})
                           .add(torch::randn({whole_, 3, kSide, kSide}, noise) * 8)
                           .clamp(0, 255)
                           .to(torch::kByte);
    const auto own = [&](const torch::Tensor& rows) {
      return rows.slice(0, rank_, whole_, world_).contiguous();
    };
    return batch::SegmentationBatch{own(image), own(label),
                                    torch::full({whole_ / world_, 2}, kSide, torch::kLong),
                                    torch::arange(whole_ / world_)};
  }

 private:
  int64_t next_;
  int64_t whole_;
  int64_t rank_;
  int64_t world_;
};

struct TinyRun {
  explicit TinyRun(const SegmentOptions& options, const std::filesystem::path& folder = {},
                   const dist::Group& group = {}, models::BackboneOptions backbone = tiny_vit())
      : network(make_segmentor(segmentor_options(options, std::move(backbone), kClasses),
                               options.seed)),
        tuner({.segment = options,
               .normalization = {},
               .steps_per_epoch = kStepsPerEpoch,
               .home = {.checkpoints = folder, .config = "a: 1", .identity = "weights: w"}},
              network, torch::kCPU, group) {}

  std::map<std::string, torch::Tensor> state() const {
    return dense::network_file(*network, "").tensors;
  }

  std::shared_ptr<segmentation::Segmentor> network;
  SegmentTuner tuner;
};

metrics::SegmentationScores scores_of(TinyRun& run, const SegmentOptions& options) {
  run.network->eval();
  metrics::SegmentationTotals totals(kClasses);
  const auto network = pixel_network(*run.network, options.run.precision, torch::kCPU);
  HalvesSource source(1000, 4);
  const auto batch = *source.next();
  for (int64_t i = 0; i < 4; ++i) {
    totals.add(
        predict_labels(network, {batch.image[i]}, batch.label[i].sizes(), options, {}, torch::kCPU),
        batch.label[i]);
  }
  return totals.scores();
}

TEST(SegmentTuner, LearnsAnEasyTask) {
  auto options = tiny_options();
  options.iterations = 100;
  options.lr = 5e-3;
  options.layer_decay = 1;
  options.drop_path = 0;
  options.dropout = 0;
  TinyRun run(options);
  HalvesSource batches(0, options.batch_size);
  EXPECT_EQ(run.tuner.run(batches), train::Ending::kDone);
  EXPECT_GT(scores_of(run, options).mean_iou, 0.8);
}

TEST(SegmentTuner, TheLinearHeadLeavesTheBackboneAlone) {
  auto options = tiny_options();
  options.head = segmentation::HeadKind::kLinear;
  TinyRun run(options);
  const auto before = run.state();
  std::map<std::string, torch::Tensor> kept;
  for (const auto& [name, tensor] : before) kept[name] = tensor.clone();
  HalvesSource batches(0, options.batch_size);
  run.tuner.run(batches);
  for (const auto& [name, tensor] : run.state()) {
    EXPECT_EQ(torch::equal(tensor, kept.at(name)), name.starts_with("backbone.")) << name;
  }
}

// Stopped in the midst of an epoch, with everything random on.
TEST(SegmentTuner, ResumesToTheBit) {
  const testing::TemporaryFolder folder;
  auto options = tiny_options();
  options.iterations = 16;
  options.accumulation = 2;
  TinyRun whole(options);
  HalvesSource batches(0, options.batch_size);
  EXPECT_EQ(whole.tuner.run(batches), train::Ending::kDone);

  TinyRun first(options, folder.path());
  HalvesSource begin(0, options.batch_size);
  first.tuner.set_stop([&] { return first.tuner.state().step == 3; });
  EXPECT_EQ(first.tuner.run(begin), train::Ending::kStopped);

  TinyRun second(options, folder.path());
  second.tuner.resume(train::load_checkpoint(first.tuner.last_checkpoint()));
  HalvesSource rest(6, options.batch_size);
  EXPECT_EQ(second.tuner.run(rest), train::Ending::kDone);
  const auto expected = whole.state();
  for (const auto& [name, tensor] : second.state()) {
    EXPECT_TRUE(testing::equal(tensor, expected.at(name))) << name;
  }
}

// Batch normalization over ranks, and draws of drop path and dropout of the whole batch.
TEST(SegmentTuner, TwoRanksAreOneWithTwiceTheBatch) {
  if (!testing::has_ranks()) GTEST_SKIP() << "this build has no Gloo";
  for (const auto& backbone : {tiny_vit(), models::BackboneOptions{.arch = "swin_tiny",
                                           .patch_size = 4,
                                           .window_size = 2,
                                           .embed_dim = 8,
                                           .depth = {1, 1, 1, 1},
                                           .heads = {1, 1, 2, 2}}}) {
    auto options = tiny_options();
    options.iterations = 3;
    TinyRun alone(options, {}, {}, backbone);
    HalvesSource all(0, 4);
    alone.tuner.run(all);
    const auto expected = alone.state();
    options.batch_size = 2;
    testing::run_ranks(2, [&](const dist::Group& group) {
      TinyRun shared(options, {}, group, backbone);
      HalvesSource part(0, 4, group.rank(), 2);
      shared.tuner.run(part);
      for (const auto& [name, tensor] : shared.state()) {
        // Gradients of zero but for rounding, which AdamW makes steps of.
        const bool noise = name.ends_with(".bias") && name.find("bn") == std::string::npos;
        EXPECT_TRUE(testing::near(tensor, expected.at(name), {1e-3, noise ? 6e-3 : 2e-4})) << name;
      }
    });
  }
}

TEST(SegmentTuner, IsSavedUnderNamesOfMmsegmentationAndReadBack) {
  const testing::TemporaryFolder folder;
  const auto options = tiny_options();
  TinyRun from(options);
  for (const auto* name : {"segmentor.safetensors", "segmentor.pth"}) {
    dense::write_network(folder / name, dense::network_file(*from.network, "a: 1"));
    const auto file = dense::read_network(folder / name);
    EXPECT_EQ(file.config, "a: 1");
    EXPECT_EQ(file.tensors.count("decode_head.psp_modules.0.1.conv.weight"), 1U);
    EXPECT_EQ(file.tensors.count("auxiliary_head.convs.0.bn.running_mean"), 1U);
    auto other = options;
    other.seed = 1;
    TinyRun to(other);
    dense::load_network_(*to.network, file);
    const auto expected = from.state();
    for (const auto& [key, tensor] : to.state()) {
      EXPECT_TRUE(testing::equal(tensor, expected.at(key))) << key;
    }
  }
  auto wider = options;
  wider.channels = 12;
  TinyRun to(wider);
  EXPECT_THROW(
      dense::load_network_(*to.network, dense::read_network(folder / "segmentor.safetensors")),
      CheckpointError);
}

TEST(SegmentTuner, RefusesWhatCannotBe) {
  auto options = tiny_options();
  options.transform.crop_size = 36;
  EXPECT_THROW(segmentor_options(options, tiny_vit(), kClasses), OptionError);
  options = tiny_options();
  options.stride = 64;
  EXPECT_THROW(options.validate(), OptionError);
  options = tiny_options();
  options.iterations = 9;
  options.accumulation = 2;
  EXPECT_THROW(options.validate(), OptionError);
}

}  // namespace
}  // namespace ibot::eval
