#include <gtest/gtest.h>

#include "ibot/detection/detector.h"
#include "ibot/optim/layer_decay.h"
#include "ibot/optim/schedule.h"
#include "ibot/segmentation/segmentor.h"
#include "support/golden.h"

namespace ibot::optim {
namespace {

using testing::ReadJson;

ReadJson description() { return testing::dense_case("10_schedules_and_groups", "schedules").json; }

template <class Schedule>
void check(const Schedule& schedule, const ReadJson& item, double rtol) {
  for (const auto& pair : item["values"].elements()) {
    const double expected = pair[1];
    EXPECT_NEAR(schedule.at(pair[0].template get<int64_t>()), expected, rtol * std::abs(expected));
  }
}

TEST(SchedulesDense, AreTheSame) {
  const auto json = description();
  const double rtol = json["tolerance"]["rtol"];
  for (const auto& item : json["poly"].elements()) {
    check(PolySchedule{.base = item["base_lr"],
                       .final = item["min_lr"],
                       .total_steps = item["iterations"],
                       .power = item["power"],
                       .warmup = {item["warmup_iterations"], item["warmup_ratio"]}},
          item, rtol);
  }
  for (const auto& item : json["step"].elements()) {
    check(MultiStepSchedule{.base = item["base_lr"],
                            .factor = item["factor"],
                            .decay_epochs = item["decay_at_epochs"].get<std::vector<int64_t>>(),
                            .steps_per_epoch = item["iterations_per_epoch"],
                            .warmup = {item["warmup_iterations"], item["warmup_ratio"]}},
          item, rtol);
  }
}

struct Group {
  int64_t tensors = 0;
  int64_t numbers = 0;
};

void check_groups(const std::vector<Parameter>& parameters, const ReadJson& item) {
  const double weight_decay = item["weight_decay"], lr = item["lr"];
  std::map<std::pair<double, double>, Group> groups;  // by scale and decay
  int64_t numbers = 0;
  for (const auto& parameter : parameters) {
    auto& group = groups[{parameter.lr_scale, parameter.decays ? weight_decay : 0.0}];
    ++group.tensors;
    group.numbers += parameter.tensor.numel();
    numbers += parameter.tensor.numel();
  }
  EXPECT_EQ(numbers, item["parameters"].get<int64_t>());
  ASSERT_EQ(groups.size(), item["groups"].size());
  for (const auto& expected : item["groups"].elements()) {
    const double scale = expected["lr_scale"];
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return std::abs(group.first.first - scale) < 1e-9 * scale &&
             group.first.second == expected["weight_decay"].get<double>();
    });
    ASSERT_NE(found, groups.end());
    EXPECT_NEAR(lr * found->first.first, expected["lr"].get<double>(), 1e-9 * lr);
    EXPECT_EQ(found->second.tensors, expected["tensors"].get<int64_t>());
    EXPECT_EQ(found->second.numbers, expected["numbers"].get<int64_t>());
  }
}

std::vector<Parameter> parameters_of(const std::string& arch, const std::string& kind,
                                     const ReadJson& item) {
  const models::BackboneOptions backbone{.arch = arch, .image_size = 512};
  const double decay = item["layer_decay"];
  if (kind == "upernet") {
    segmentation::Segmentor model({.backbone = {.backbone = backbone}});
    return dense_parameters(model, backbone, decay);
  }
  dense::DenseOptions options{
      .backbone = backbone, .out_with_norm = false, .position_rule = dense::PositionRule::kGrid};
  options.positions = {item["position_grid"][0], item["position_grid"][1]};
  detection::Detector model(options, detection::DetectionOptions());
  return dense_parameters(*model, backbone, decay);
}

TEST(LayerDecayGroupsDense, AreThoseOfTheRealModels) {
  for (const auto& [name, item] : description()["layer_decay_groups"].items()) {
    SCOPED_TRACE(name);
    const auto end = name.rfind('_');
    check_groups(parameters_of(name.substr(0, end), name.substr(end + 1), item), item);
  }
}

TEST(LayerDecayGroupsDense, OfSwinNormsAndBiasTablesAloneDoNotDecay) {
  const auto item = description()["swin_without_decay"];
  const models::BackboneOptions backbone{.arch = "swin_tiny", .patch_size = 4};
  const detection::Detector model(dense::DenseOptions{.backbone = backbone},
                                  detection::DetectionOptions());
  std::map<std::string, bool> decays;
  int64_t kept = 0;
  for (const auto& parameter : dense_parameters(*model, backbone, 1.0)) {
    decays[parameter.name] = parameter.decays;
    kept += parameter.decays ? 0 : 1;
  }
  EXPECT_EQ(static_cast<int64_t>(decays.size()), item["total"].get<int64_t>());
  EXPECT_EQ(kept, item["count"].get<int64_t>());
  for (const auto& name : item["examples"].elements()) {
    EXPECT_FALSE(decays.at(name.get<std::string>())) << name.get<std::string>();
  }
  for (const auto& name : item["decayed_although_1d"].elements()) {
    EXPECT_TRUE(decays.at(name.get<std::string>())) << name.get<std::string>();
  }
}

/// Every parameter of `names`: its shape and its group, `layer_K_decay` or `layer_K_no_decay`.
void check_names(const std::vector<Parameter>& parameters, const ReadJson& names, double decay) {
  std::map<std::string, Parameter> own;
  for (const auto& parameter : parameters) own.emplace(parameter.name, parameter);
  for (const auto& [name, expected] : names.items()) {
    ASSERT_EQ(own.count(name), 1U) << name;
    const auto& parameter = own.at(name);
    EXPECT_EQ(parameter.tensor.sizes(), expected[1].get<std::vector<int64_t>>()) << name;
    const auto group = expected[0].get<std::string>();
    EXPECT_EQ(parameter.decays, !group.ends_with("no_decay")) << name;
    const double layer = std::stod(group.substr(std::string("layer_").size()));
    EXPECT_NEAR(parameter.lr_scale, std::pow(decay, 13 - layer), 1e-9) << name;
  }
}

TEST(LayerDecayGroupsDense, NamesShapesAndGroupsAreTheSame) {
  const auto json = description();
  for (const std::string kind : {"upernet", "cascade"}) {
    SCOPED_TRACE(kind);
    const auto item = json["layer_decay_groups"]["vit_small_" + kind];
    check_names(parameters_of("vit_small", kind, item), json["names_vit_small_" + kind],
                item["layer_decay"]);
  }
}

TEST(LayerDecay, OnSwinNormsAndBiasTablesAloneDoNotDecay) {
  segmentation::Segmentor model({.backbone = {.backbone = {.arch = "swin_tiny",
                                                           .patch_size = 4,
                                                           .embed_dim = 12,
                                                           .depth = {2, 2, 2, 2},
                                                           .heads = {1, 1, 2, 2}}},
                                 .classes = 3,
                                 .channels = 8});
  std::map<std::string, bool> decays;
  for (const auto& parameter :
       dense_parameters(model, model.options().backbone.backbone, /*decay=*/1.0)) {
    decays[parameter.name] = parameter.decays;
    EXPECT_EQ(parameter.lr_scale, 1.0);
  }
  EXPECT_FALSE(decays.at("backbone.norm3.weight"));
  EXPECT_FALSE(decays.at("backbone.layers.0.blocks.0.norm1.bias"));
  EXPECT_FALSE(decays.at("backbone.layers.0.blocks.0.attn.relative_position_bias_table"));
  EXPECT_TRUE(decays.at("backbone.layers.0.blocks.0.attn.qkv.bias"));
  EXPECT_TRUE(decays.at("decode_head.bottleneck.bn.bias"));
}

}  // namespace
}  // namespace ibot::optim
