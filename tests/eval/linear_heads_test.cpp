#include "ibot/eval/linear_heads.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>

#include <cmath>

#include "ibot/eval/features.h"
#include "support/expect_tensor.h"
#include "support/golden_tensors.h"

namespace ibot::eval {
namespace {

/// The settings of one sweep at twice the batch that rates are listed for.
void check_grid(const testing::ReadJson& sweep) {
  const auto rates = sweep["lrs"].get<std::vector<double>>();
  const auto optims = sweep["optims"].get<std::vector<std::string>>();
  const LinearOptions options{
      .lr = rates, .weight_decay = sweep["wds"], .lars = optims.size() == 2};
  EXPECT_EQ(optims, options.lars ? (std::vector<std::string>{"sgd", "lars"})
                                 : std::vector<std::string>{"sgd"});
  const auto settings = linear_settings(options, 512);
  ASSERT_EQ(settings.size(), sweep["count"].get<size_t>());
  const size_t decays = options.weight_decay.size();
  for (size_t h = 0; h < settings.size(); ++h) {
    EXPECT_NEAR(settings[h].lr, 2 * rates[h / optims.size() / decays], 1e-12);
    EXPECT_EQ(settings[h].weight_decay, options.weight_decay[h / optims.size() % decays]);
    EXPECT_EQ(settings[h].lars, optims[h % optims.size()] == "lars");
  }
}

TEST(LinearHeadsGolden, TheGridIsTheOneOfTheReference) {
  int grids = 0;
  for (const auto& golden : testing::golden_cases("10_linear")) {
    if (!golden.json.contains("full_sweep")) continue;
    check_grid(golden.json["full_sweep"]);
    check_grid(golden.json["sweep_lr_only"]);
    const auto published = golden.json["sweep_lr_only"]["lrs"].get<std::vector<double>>();
    ASSERT_EQ(published.size(), LinearOptions().lr.size());
    for (size_t i = 0; i < published.size(); ++i) {
      EXPECT_NEAR(LinearOptions().lr[i], published[i], 1e-12);
    }
    golden.json.expect_all_read({"lr_is_scaled_by", "sweep_lr_only/order"});
    ++grids;
  }
  EXPECT_GT(grids, 0);
}

/// One classifier, by autograd and torch's own optimizer or the reference's formula of LARS.
class OneHead {
 public:
  OneHead(const torch::Tensor& weight, const torch::Tensor& bias, const LinearSetting& setting)
      : setting_(setting),
        weight_(weight.clone().requires_grad_()),
        bias_(bias.clone().requires_grad_()),
        sgd_(
            {weight_, bias_},
            torch::optim::SGDOptions(setting.lr).momentum(0.9).weight_decay(setting.weight_decay)) {
  }

  void step(const torch::Tensor& features, const torch::Tensor& labels) {
    sgd_.zero_grad();
    torch::nn::functional::cross_entropy(torch::linear(features, weight_, bias_), labels)
        .backward();
    if (!setting_.lars) {
      sgd_.step();
      return;
    }
    const torch::NoGradGuard no_grad;
    auto d = weight_.grad() + setting_.weight_decay * weight_;
    d = d * 0.001 * weight_.norm() / d.norm();
    weight_momentum_ = weight_momentum_.defined() ? 0.9 * weight_momentum_ + d : d;
    bias_momentum_ =
        bias_momentum_.defined() ? 0.9 * bias_momentum_ + bias_.grad() : bias_.grad().clone();
    weight_ -= setting_.lr * weight_momentum_;
    bias_ -= setting_.lr * bias_momentum_;
  }

  const torch::Tensor& weight() const { return weight_; }
  const torch::Tensor& bias() const { return bias_; }

 private:
  LinearSetting setting_;
  torch::Tensor weight_;
  torch::Tensor bias_;
  torch::Tensor weight_momentum_;
  torch::Tensor bias_momentum_;
  torch::optim::SGD sgd_;
};

TEST(LinearHeads, EachHeadIsTrainedAsIfItWereAlone) {
  torch::manual_seed(5);
  const std::vector<LinearSetting> settings{
      {0.1, 0.0, false}, {0.01, 0.1, false}, {2.0, 0.0, true}, {30.0, 0.1, true}};
  LinearHeads heads(settings, 6, 4, 3, torch::kCPU);
  std::vector<OneHead> alone;
  for (size_t h = 0; h < settings.size(); ++h) {
    const auto state = heads.state();
    alone.emplace_back(state.at("weight")[h], state.at("bias")[h], settings[h]);
  }
  for (int i = 0; i < 5; ++i) {
    const auto features = torch::randn({7, 6});
    const auto labels = torch::randint(4, {7}, torch::kLong);
    heads.step(features, labels, 1.0);
    for (auto& head : alone) head.step(features, labels);
  }
  for (size_t h = 0; h < settings.size(); ++h) {
    const auto state = heads.state();
    EXPECT_TRUE(torch::allclose(state.at("weight")[h], alone[h].weight(), 1e-4, 1e-6)) << h;
    EXPECT_TRUE(torch::allclose(state.at("bias")[h], alone[h].bias(), 1e-4, 1e-6)) << h;
  }
}

TEST(LinearHeads, CountsHitsOfEachHead) {
  LinearHeads heads({{1, 0, false}, {1, 0, false}}, 6, 6, 0, torch::kCPU);
  auto state = heads.state();
  state.at("weight").zero_();
  state.at("weight")[0].copy_(torch::eye(6));
  // The second head scores every class the other way round.
  state.at("weight")[1].copy_(-torch::eye(6) * torch::arange(6, 0, -1));
  const auto features = torch::eye(6).slice(0, 0, 3) + 0.1 * torch::arange(6);
  const auto hits = heads.hits(features, torch::arange(3));
  EXPECT_EQ(hits.top1[0].item<int64_t>(), 3);
  EXPECT_EQ(hits.top5[0].item<int64_t>(), 3);
  EXPECT_EQ(hits.top1[1].item<int64_t>(), 0);
  for (int64_t head = 0; head < 2; ++head) {
    const auto expected = torch::nn::functional::cross_entropy(
        torch::linear(features, state.at("weight")[head]), torch::arange(3));
    EXPECT_NEAR(hits.loss[head].item<double>(), expected.item<double>(), 1e-5);
  }
}

// Neither its own scores nor its neighbors tell of a head that diverged.
TEST(LinearHeads, AHeadThatDivergesIsNeverRightAndLeavesTheOthersAlone) {
  torch::manual_seed(6);
  const LinearSetting good{0.1, 0.0, false};
  LinearHeads both({good, {1e38, 0.0, true}, {1e38, 0.0, false}}, 6, 4, 3, torch::kCPU);
  LinearHeads alone({good}, 6, 4, 3, torch::kCPU);
  alone.state().at("weight")[0].copy_(both.state().at("weight")[0]);
  const auto features = torch::randn({8, 6});
  const auto labels = torch::arange(8) % 4;
  for (int i = 0; i < 5; ++i) {
    both.step(features, labels, 1.0);
    alone.step(features, labels, 1.0);
  }
  const auto hits = both.hits(features, labels);
  EXPECT_TENSOR_NEAR(both.state().at("weight")[0], alone.state().at("weight")[0]);
  EXPECT_GT(hits.top1[0].item<int64_t>(), 0);
  EXPECT_EQ(hits.top5[0].item<int64_t>(), 8);  // of four classes
  for (int64_t head = 1; head < 3; ++head) {
    EXPECT_FALSE(std::isfinite(hits.loss[head].item<float>())) << head;
    EXPECT_EQ(hits.top1[head].item<int64_t>(), 0) << head;
    EXPECT_EQ(hits.top5[head].item<int64_t>(), 0) << head;
  }
  EXPECT_EQ(better_of({}, hits, 8, 0, {0, 1, 2}).head, 0);
  EXPECT_EQ(better_of({}, hits, 8, 0, {1, 2}).head, -1);
}

TEST(LinearBest, TheLaterOfEqualHeadsAndEpochsWins) {
  const LinearHits hits{torch::tensor({3, 1, 3}), torch::tensor({4, 4, 4}), torch::ones({3})};
  const auto first = better_of({}, hits, 4, 0, {0, 1, 2});
  EXPECT_EQ(first.head, 2);
  EXPECT_EQ(first.top1, 75.0);
  const auto second = better_of(first, hits, 4, 1, {0, 1});
  EXPECT_EQ(second.head, 0);
  EXPECT_EQ(second.epoch, 1);
  EXPECT_EQ(better_of(first, hits, 4, 1, {1}).epoch, 0);
}

/// One classifier with the case's initial weights, and what is stored of it.
class OneTraining {
 public:
  OneTraining(const testing::GoldenCase& golden, const LinearSetting& setting)
      : expected_(golden.tensors(), golden.tolerance()),
        heads_({setting}, golden.json["config"]["feature_dim"], golden.json["config"]["num_labels"],
               0, torch::kCPU) {
    auto state = heads_.state();
    state.at("weight")[0].copy_(expected_.at("init.linear.weight"));
    state.at("bias")[0].copy_(expected_.at("init.linear.bias"));
  }

  double step(int64_t batch, const torch::Tensor& labels, double factor) {
    return heads_.step(expected_.at(concat("features", batch)), labels, factor).item<double>();
  }

  void compare(const std::string& when) const {
    const auto state = heads_.state();
    expected_.compare(state.at("weight")[0], when + ".linear.weight");
    expected_.compare(state.at("bias")[0], when + ".linear.bias");
  }

  const testing::GoldenTensors& expected() const { return expected_; }

 private:
  testing::GoldenTensors expected_;
  LinearHeads heads_;
};

LinearSetting setting_of(const testing::ReadJson& config) {
  const LinearSetting setting{config["lr_used"], config["weight_decay"], false};
  const LinearOptions options{.lr = {config["lr_argument"].get<double>()}};
  EXPECT_NEAR(linear_settings(options, config["batch_size"]).at(0).lr, setting.lr, 1e-12);
  testing::expect_built_in(config["momentum"], 0.9);
  return setting;
}

void expect_sweep(const testing::GoldenCase& golden) {
  const auto& json = golden.json;
  const auto config = json["config"];
  const auto setting = setting_of(config);
  OneTraining training(golden, setting);
  const auto data = io::read_safetensors(golden.folder / json["data"].get<std::string>()).tensors;
  const int64_t epochs = config["epochs"];
  const int64_t iterations = config["iterations_per_epoch"];
  ASSERT_EQ(static_cast<int64_t>(json["train_loss_per_step"].size()), epochs * iterations);
  for (int64_t step = 0; step < epochs * iterations; ++step) {
    const double factor = linear_lr_factor(step / iterations, epochs);
    EXPECT_NEAR(setting.lr * factor, json["lr_per_epoch"][step / iterations], 1e-9);
    const auto labels = data.at(concat("train_labels", step % iterations));
    EXPECT_EQ(labels.size(0), config["batch_size"].get<int64_t>());
    EXPECT_NEAR(training.step(step % iterations, labels, factor), json["train_loss_per_step"][step],
                1e-5);
    if (step + 1 == iterations) training.compare("after_epoch0");
  }
  training.compare("final");
  training.expected().expect_all_used();
}

// From the stored features on: the weights that the cases name do not give them in the reference
// either, nor then what is said of validation.
TEST(LinearHeadsGolden, TrainsAsTheReference) {
  int cases = 0;
  for (const auto& golden : testing::golden_cases("10_linear")) {
    if (!golden.json.contains("train_loss_per_step")) continue;
    SCOPED_TRACE(golden.name);
    expect_sweep(golden);
    golden.json.expect_all_read({"backbone_weights", "backbone_config", "validation",
                                 "config/n_last_blocks", "config/avgpool_patchtokens"});
    ++cases;
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace ibot::eval
