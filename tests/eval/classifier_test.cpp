#include "ibot/eval/classifier.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/level_images.h"
#include "ibot/base/error.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/io/safetensors.h"
#include "ibot/models/network.h"
#include "support/expect_tensor.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

// The bias of attention begins at 0: what the pre-trained network without one gives.
TEST(Classifier, GainsABiasOfAttention) {
  auto options = tiny_classifier();
  Classifier plain(options, 0);
  options.backbone.rel_pos_bias = true;
  Classifier biased(options, 1);
  biased.load_backbone(plain.backbone());
  const auto images = torch::rand({2, 3, kSize, kSize});
  plain.eval();
  biased.eval();
  const auto token = [&](Classifier& classifier) {
    return classifier.backbone().forward(images).class_token;
  };
  EXPECT_TENSOR_NEAR(token(biased), token(plain));

  auto tune = tiny_options();
  tune.decay_bias_tables = false;
  FineTuneStep step(tune, std::make_shared<Classifier>(options, 1), torch::kCPU);
  int tables = 0;
  for (const auto& parameter : step.training().optimizer().parameters()) {
    if (parameter.name.find("bias_table") == std::string::npos) continue;
    ++tables;
    EXPECT_FALSE(parameter.decays);
    EXPECT_LT(parameter.lr_scale, 1.0);
  }
  EXPECT_EQ(tables, 2);
  step.accumulate(images, torch::eye(3).slice(0, 0, 2));
  step.update({.lr = 0.1});
  const auto name = "model.backbone.blocks.1.attn.relative_position_bias_table";
  EXPECT_GT(step.state().at(name).abs().sum().item<float>(), 0.0f);
  // Its own weights are taken over, resized where images have another size.
  options.backbone.image_size = 2 * kSize;
  Classifier larger(options, 2);
  larger.load_backbone(step.classifier().backbone());
  EXPECT_GT(larger.backbone()
                .named_parameters()["blocks.1.attn.relative_position_bias_table"]
                .abs()
                .sum()
                .item<float>(),
            0.0f);
}

// get_sinusoid_encoding_table(4, 16) of the reference's modeling_finetune.py, its first columns.
TEST(Classifier, FixesItsPositions) {
  auto options = tiny_classifier();
  options.positions = Positions::kSinusoid;
  const auto pretrained = Classifier(tiny_classifier(), 3).backbone().shared_from_this();
  const auto run = [&] {
    const auto classifier = std::make_shared<Classifier>(options, 0);
    classifier->load_backbone(*std::dynamic_pointer_cast<models::Backbone>(pretrained));
    FineTuneStep step(tiny_options(), classifier, torch::kCPU);
    step.accumulate(torch::rand({2, 3, kSize, kSize}), torch::eye(3).slice(0, 0, 2));
    step.update({.lr = 0.1, .weight_decay = 0.1});
    return step.state().at("model.backbone.pos_embed").clone();
  };
  EXPECT_TENSOR_NEAR(run()[0].slice(1, 0, 4),
                     torch::tensor({{0.f, 0.f, 0.f, 0.f},
                                    {0.f, 1.f, 0.f, 1.f},
                                    {.84147098f, .54030231f, .31098359f, .95041528f},
                                    {.90929743f, -.41614684f, .59112711f, .80657841f},
                                    {.14112001f, -.98999250f, .81264889f, .58275361f}}));
  options.positions = Positions::kNone;
  EXPECT_EQ(run().abs().sum().item<float>(), 0.0f);
  options = tiny_swin();
  options.positions = Positions::kNone;
  EXPECT_THROW(Classifier(options, 0), OptionError);
}

TEST(FineTuneStep, RunsInBfloat16AndRefusesHalfOnTheCpu) {
  auto options = tiny_options();
  options.run.precision = optim::Precision::kFp16;
  const auto classifier = std::make_shared<Classifier>(tiny_classifier(), 0);
  EXPECT_THROW(FineTuneStep(options, classifier, torch::kCPU), OptionError);
  options.run.precision = optim::Precision::kBf16;
  FineTuneStep step(options, classifier, torch::kCPU);
  const auto result =
      step.accumulate(torch::ones({2, 3, kSize, kSize}), torch::eye(3).slice(0, 0, 2));
  EXPECT_EQ(result.loss.scalar_type(), torch::kFloat);
  EXPECT_TRUE(std::isfinite(step.update({.lr = 0.1}).grad_norm.item<double>()));
}

TEST(FineTuneValues, ScaleWithTheImagesOfAStep) {
  auto options = transfer_defaults();
  options.batch_size = 768;
  // The peak of the published CIFAR run, after the warm-up of 5 epochs.
  EXPECT_NEAR(fine_tune_values(options, 65, 6 * 65).lr, 1.1249923e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 7 * 65 - 1).lr, 1.1249923e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 500 * 65).lr, 1.0626963e-5, 1e-12);
  EXPECT_NEAR(fine_tune_values(options, 65, 1000 * 65 - 1).lr, 1.0000012e-5, 1e-12);
  options.lr_curve = optim::LrCurve::kStep;
  options.decay_epochs = 100;
  options.lr_noise = {0.9};
  options.validate();
  const double peak = 1.125e-5;
  EXPECT_NEAR(fine_tune_values(options, 65, 201 * 65).lr, peak * 0.01, 1e-12);
  const auto noisy = fine_tune_values(options, 65, 950 * 65).lr / (peak * 1e-9);
  EXPECT_NE(noisy, 1.0);
  EXPECT_NEAR(noisy, 1.0, options.lr_noise_limit);
  options.schedule = LrSchedule::kStep;
  EXPECT_THROW(options.validate(), OptionError);
  FineTuneOptions by_steps;
  by_steps.warmup_steps = 11;
  EXPECT_DOUBLE_EQ(fine_tune_values(by_steps, 100, 10).lr, by_steps.lr);
}

TEST(Classifier, NamesItsHeadAsTheReference) {
  const auto names = [](int64_t layers) {
    auto options = tiny_classifier();
    options.head_layers = layers;
    const Classifier classifier(options, 0);
    std::map<std::string, std::vector<int64_t>> shapes;
    for (const auto& [name, tensor] : models::named_state(classifier)) {
      if (name.rfind("head.", 0) == 0) shapes[name] = tensor.sizes().vec();
    }
    return shapes;
  };
  using Shapes = std::map<std::string, std::vector<int64_t>>;
  EXPECT_EQ(names(0), (Shapes{{"head.weight", {3, 16}}, {"head.bias", {3}}}));
  EXPECT_EQ(names(1), (Shapes{{"head.mlp.0.weight", {10, 16}},
                              {"head.mlp.0.bias", {10}},
                              {"head.cls_head.weight", {3, 10}},
                              {"head.cls_head.bias", {3}}}));
  EXPECT_EQ(names(2).at("head.mlp.2.weight"), (std::vector<int64_t>{10, 10}));
  const auto whole = names(3);
  EXPECT_EQ(whole.at("head.mlp.4.weight"), (std::vector<int64_t>{6, 10}));
  EXPECT_EQ(whole.at("head.last_layer.weight_v"), (std::vector<int64_t>{12, 6}));
  EXPECT_EQ(whole.at("head.last_layer.weight_g"), (std::vector<int64_t>{12, 1}));
  EXPECT_EQ(whole.at("head.cls_head.weight"), (std::vector<int64_t>{3, 12}));
}

// The whole head kept, its classifier the identity: the scores are those of the projection head.
TEST(Classifier, KeepsThePretrainedHead) {
  auto options = tiny_classifier();
  options.head_layers = 3;
  options.classes = options.projection.prototypes;
  options.projection.shared = true;
  const auto made = std::make_shared<models::Network>(options.backbone, options.projection,
                                                      models::Role::kTeacher);
  auto& network = *made;
  models::initialize_(network, at::globalContext().defaultGenerator(torch::kCPU).clone());
  Classifier classifier(options, 1);
  classifier.load_backbone(*network.backbone);
  std::map<std::string, torch::Tensor> head;
  for (const auto& [name, tensor] : models::named_state(*network.head)) head.emplace(name, tensor);
  classifier.load_projection(head);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : classifier.named_parameters()) {
    if (parameter.key() == "head.cls_head.weight") {
      parameter.value().copy_(torch::eye(options.classes));
    }
  }
  classifier.eval();
  network.eval();
  const auto images = torch::ones({2, 3, kSize, kSize});
  const auto token = network.backbone->forward(images).class_token;
  EXPECT_TENSOR_NEAR(classifier.forward(images),
                     network.head->class_logits(network.head->trunk(token)));
  head.erase("mlp.2.weight");
  EXPECT_THROW(classifier.load_projection(head), CheckpointError);
}

TEST(Classifier, ResizesPositionsToItsImages) {
  auto options = tiny_classifier();
  const Classifier small(options, 0);
  options.backbone.image_size = 2 * kSize;
  Classifier large(options, 1);
  large.load_backbone(const_cast<Classifier&>(small).backbone());
  const auto positions = large.backbone().named_parameters()["pos_embed"];
  EXPECT_EQ(positions.sizes().vec(), (std::vector<int64_t>{1, 17, 16}));
  options.backbone.embed_dim = 32;
  Classifier wider(options, 1);
  EXPECT_THROW(wider.load_backbone(const_cast<Classifier&>(small).backbone()), CheckpointError);
}

TEST(Classifier, ScalesItsLastLayerAlone) {
  auto options = tiny_classifier();
  options.head_scale = 1e-3;
  const Classifier classifier(options, 0);
  EXPECT_LT(classifier.named_parameters()["head.weight"].abs().max().item<double>(), 1e-3);
  options.classes = 1;
  EXPECT_THROW(Classifier(options, 0), Error);
}

TEST(Classifier, CountsOnlyWhatRanksFirst) {
  Classifier classifier(tiny_classifier(), 0);
  {
    // Equal scores: class 0 wins, so that a third of the images is right.
    const torch::NoGradGuard no_grad;
    for (auto& parameter : classifier.parameters()) parameter.zero_();
  }
  auto accuracy = test_on_levels(classifier);
  EXPECT_NEAR(accuracy.top1, 100.0 / 3.0, 1e-9);
  EXPECT_EQ(accuracy.top5, 100.0);
  EXPECT_NEAR(accuracy.loss, std::log(3.0), 1e-6);
  {
    const torch::NoGradGuard no_grad;
    classifier.parameters().back().fill_(NAN);
  }
  EXPECT_EQ(test_on_levels(classifier).top1, 0.0);
  FewBatches none(0);
  EXPECT_THROW(test_classifier(classifier, none, {}, torch::kCPU, optim::Precision::kFp32),
               DataError);
}

TEST(FineTuneOptions, AreChecked) {
  EXPECT_NO_THROW(FineTuneOptions().validate());
  EXPECT_NO_THROW(transfer_defaults().validate());
  EXPECT_NO_THROW(semi_supervised_defaults().validate());
  FineTuneOptions options;
  options.test_ema = true;
  EXPECT_THROW(options.validate(), OptionError);
  options = {};
  options.head_layers = 4;
  EXPECT_THROW(options.validate(), OptionError);
}

}  // namespace
}  // namespace ibot::eval
