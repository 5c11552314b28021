#include "ibot/models/backbone.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/models/network.h"

namespace ibot::models {
namespace {

BackboneOptions tiny() {
  return {.patch_size = 4, .image_size = 16, .embed_dim = 12, .depth = 2, .heads = 2};
}

TEST(Backbone, AnUnknownNameListsTheKnownOnes) {
  auto options = tiny();
  options.arch = "vit_huge";
  try {
    build_backbone(options, Role::kStudent);
    FAIL() << "expected an OptionError";
  } catch (const OptionError& error) {
    EXPECT_EQ(error.key(), "arch");
    EXPECT_NE(error.problem().find("vit_small"), std::string::npos) << error.problem();
    EXPECT_NE(error.problem().find("vit_huge"), std::string::npos) << error.problem();
  }
}

TEST(Backbone, HeadsMustDivideTheWidth) {
  auto options = tiny();
  options.heads = 5;
  EXPECT_THROW(build_backbone(options, Role::kStudent), OptionError);
}

TEST(Backbone, RefusesMasksItCannotApply) {
  const auto images = torch::zeros({2, 3, 16, 16});
  const auto mask = torch::zeros({2, 16}, torch::kBool);
  EXPECT_THROW(build_backbone(tiny(), Role::kTeacher)->forward(images, mask), Error);
  const auto student = build_backbone(tiny(), Role::kStudent);
  EXPECT_THROW(student->forward(images, torch::zeros({2, 9}, torch::kBool)), Error);
  EXPECT_THROW(student->forward(torch::zeros({2, 3, 3, 16})), Error);
  EXPECT_THROW(student->intermediate(images, 3), Error);
}

TEST(Backbone, DropPathBelongsToTheTrainingStudent) {
  auto options = tiny();
  options.drop_path = 0.9;
  const auto images = torch::rand({8, 3, 16, 16});
  const auto student = build_backbone(options, Role::kStudent);
  const auto spread = [&] {
    return (student->forward(images).class_token - student->forward(images).class_token)
        .abs()
        .max()
        .item<float>();
  };
  student->train();
  EXPECT_GT(spread(), 0.0f);
  student->eval();
  EXPECT_EQ(spread(), 0.0f);
}

TEST(Network, CopyRefusesAnotherShape) {
  HeadOptions head{.prototypes = 8, .patch_prototypes = 8, .hidden_dim = 6, .bottleneck_dim = 4};
  Network from(tiny(), head, Role::kStudent);
  head.prototypes = 9;
  Network to(tiny(), head, Role::kTeacher);
  EXPECT_THROW(copy_values_(from, to), CheckpointError);
}

}  // namespace
}  // namespace ibot::models
