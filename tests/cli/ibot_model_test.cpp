// ibot-model from the command line to its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <torch/script.h>

#include "cli/model_fixture.h"
#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/weights.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/run_program.h"
#include "support/torch_bytes.h"

namespace ibot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// The row of a network in what info printed.
std::string row(const std::string& out, const std::string& name) {
  const auto begin = out.find("\n" + name + " ");
  return begin == std::string::npos ? ""
                                    : out.substr(begin + 1, out.find('\n', begin + 1) - begin - 1);
}

TEST_F(IbotModel, TellsWhatACheckpointHolds) {
  write_checkpoint();
  const auto out = done({"info", "a.safetensors"});
  EXPECT_THAT(out, HasSubstr("safetensors, checkpoint of ibot-train"));
  EXPECT_THAT(out, HasSubstr("width 128, depth 2, heads 2, patch 4, image 8"));
  EXPECT_THAT(out, HasSubstr("step 5, 2 per epoch"));
  EXPECT_THAT(out, HasSubstr("option        backbone.embed_dim=128"));
  EXPECT_NE(row(out, "teacher.backbone"), "");
  EXPECT_NE(row(out, "student.head"), "");
}

TEST_F(IbotModel, TakesTheFolderOfARunForItsLastCheckpoint) {
  write_checkpoint();
  const auto last = folder_ / "run/checkpoints/last.safetensors";
  std::filesystem::create_directories(last.parent_path());
  std::filesystem::rename(folder_ / "a.safetensors", last);
  EXPECT_EQ(done({"info", "run"}), done({"info", "run/checkpoints/last.safetensors"}));
  done({"convert", "run", "b.pth"});
  done({"convert", "run/checkpoints/last.safetensors", "c.pth"});
  EXPECT_EQ(io::read_file(folder_ / "b.pth"), io::read_file(folder_ / "c.pth"));
}

TEST_F(IbotModel, AWholeRunGoesThroughPthAndBackToTheBit) {
  const auto before = write_checkpoint();
  const auto info = done({"info", "a.safetensors"});
  done({"convert", "a.safetensors", "b.pth", "--part", "all"});
  EXPECT_EQ(row(done({"info", "b.pth"}), "teacher.head"), row(info, "teacher.head"));
  done({"convert", "b.pth", "c.safetensors", "--part", "all"});
  EXPECT_EQ(io::read_file(folder_ / "c.safetensors"), io::read_file(folder_ / "a.safetensors"));
}

TEST_F(IbotModel, NetworksAndBackbonesKeepEveryBitInEveryFormat) {
  write_checkpoint();
  const auto rows = done({"info", "a.safetensors"});
  const auto hash = [](const std::string& text) { return text.substr(text.rfind(' ') + 1); };
  const auto backbone = hash(row(rows, "teacher.backbone"));
  const auto head = hash(row(rows, "teacher.head"));
  ASSERT_EQ(backbone.size(), 32u);
  for (const std::string ending : {".safetensors", ".pth"}) {
    done({"convert", "a.safetensors", "n" + ending, "--part", "network"});
    done({"convert", "n" + ending, "m.pth", "--part", "network"});
    done({"convert", "a.safetensors", "b" + ending});
    done({"convert", "b" + ending, "c.safetensors"});
    for (const std::string& file : {"n" + ending, std::string("m.pth")}) {
      const auto out = done({"info", file});
      EXPECT_THAT(out, AllOf(HasSubstr(backbone), HasSubstr(head))) << file;
    }
    EXPECT_THAT(done({"info", "b" + ending}), AllOf(HasSubstr(backbone), Not(HasSubstr(head))));
    EXPECT_THAT(done({"info", "c.safetensors"}), HasSubstr(backbone));
  }
}

TEST_F(IbotModel, TheReferencesCheckpointBecomesOursAndTheirsAgain) {
  for (const std::string name :
       {"ckpt_vit.pth", "ckpt_vit_cuda.pth", "ckpt_vit_bn.pth", "ckpt_swin.pth"}) {
    SCOPED_TRACE(name);
    std::vector<std::string> words{"convert", golden(name), "own.safetensors", "--part", "all"};
    if (name != "ckpt_swin.pth") words.push_back("backbone.heads=2");  // of width 12
    done(words);
    done({"convert", "own.safetensors", "again.pth", "--part", "all"});
    const auto before = io::read_torch_file(golden(name)).root;
    const auto after = io::read_torch_file(folder_ / "again.pth").root;
    for (const char* key : {"student", "teacher", "ibot_loss"}) {
      const auto& expected = *before.dict()->find(key)->dict();
      const auto& actual = *after.dict()->find(key)->dict();
      EXPECT_EQ(actual.items.size(), expected.items.size()) << key;
      for (const auto& [tensor_name, value] : expected.items) {
        const auto* found = actual.find(*tensor_name.text());
        ASSERT_NE(found, nullptr) << *tensor_name.text();
        EXPECT_TENSOR_EQUAL(*found->tensor(), *value.tensor()) << *tensor_name.text();
      }
    }
    // By number: the order is that of the parameters' first steps in one, of numbers in the other.
    const auto entries = [](const io::Value& root) {
      std::map<int64_t, io::Value> numbered;
      for (const auto& [number, entry] :
           root.dict()->find("optimizer")->dict()->find("state")->dict()->items) {
        numbered[*number.integer()] = entry;
      }
      return numbered;
    };
    const auto actual = entries(after);
    EXPECT_EQ(actual.size(), entries(before).size());
    for (const auto& [number, entry] : entries(before)) {
      ASSERT_EQ(actual.count(number), 1u) << number;
      for (const char* moment : {"exp_avg", "exp_avg_sq"}) {
        EXPECT_TENSOR_EQUAL(*actual.at(number).dict()->find(moment)->tensor(),
                            *entry.dict()->find(moment)->tensor());
      }
    }
    EXPECT_EQ(after.dict()->find("epoch")->integer(), before.dict()->find("epoch")->integer());
  }
}

// Its trainer hands the argument to vision transformers alone.
TEST_F(IbotModel, TheReferencesSwinHasTheDropPathOfItsConstructor) {
  const auto stored = [&](const char* arch) {
    auto root = *io::read_torch_file(golden("ckpt_swin.pth")).root.dict();
    for (auto& [key, value] : root.items) {
      if (*key.text() == "args") value = io::Dict{{{"arch", arch}, {"drop_path", 0.3}}, ""};
    }
    io::write_torch_file(folder_ / "swin.pth", root);
    done({"convert", "swin.pth", "own.safetensors", "--part", "all"});
    const auto config = models::read_weights(folder_ / "own.safetensors").config;
    return config::parse_config<config::RunConfig>(config, "config").backbone.drop_path;
  };
  EXPECT_EQ(stored("swin_tiny"), 0.1);
  EXPECT_EQ(stored("swin_small"), 0.2);
  EXPECT_EQ(stored("swin_base"), 0.2);
}

TEST_F(IbotModel, TellsWhatTheReferencesFilesHold) {
  const auto out = done({"info", golden("ckpt_vit.pth")});
  EXPECT_THAT(out, HasSubstr("pth (zip), official training checkpoint"));
  EXPECT_THAT(out, HasSubstr("epoch 2"));
  EXPECT_THAT(out, HasSubstr("argument      pred_shape=block"));
  EXPECT_THAT(out, HasSubstr("unknown: "));  // its heads
  EXPECT_THAT(done({"info", golden("ckpt_vit_cuda_legacy.pth")}), HasSubstr("pth (legacy)"));
  EXPECT_THAT(done({"info", golden("backbone_teacher.pth")}), HasSubstr("weights of one network"));
}

TEST_F(IbotModel, ExportsAProgramWithTheSameFeatures) {
  const auto checkpoint = write_checkpoint();
  done({"export", "a.safetensors", "b.pt"});
  auto program = torch::jit::load((folder_ / "b.pt").string());
  const auto weights = models::read_weights(folder_ / "a.safetensors");
  const auto config = config::parse_config<config::RunConfig>(weights.config, "config");
  auto backbone = models::build_backbone(config.backbone, models::Role::kTeacher);
  models::load_weights_(*backbone, weights, "backbone.");
  backbone->eval();
  const torch::NoGradGuard no_grad;
  for (const int64_t batch : {1, 3}) {
    const auto images = torch::randn({batch, 3, 8, 8});
    const auto expected = backbone->forward(images);
    const auto actual = program.forward({images}).toTuple();
    EXPECT_TENSOR_NEAR(actual->elements()[0].toTensor(), expected.class_token);
    EXPECT_TENSOR_NEAR(actual->elements()[1].toTensor(), expected.patch_tokens);
  }
  EXPECT_ANY_THROW(program.forward({torch::randn({1, 3, 12, 12})}));
}

// The number of heads leaves no trace in a shape: whoever was told of it tells the next reader.
TEST_F(IbotModel, KeepsWhatShapesDoNotTell) {
  for (const std::string part : {"backbone", "network"}) {
    for (const std::string ending : {".pth", ".safetensors"}) {
      const auto file = part + ending;
      done({"convert", golden("ckpt_vit.pth"), file, "--part", part, "backbone.heads=3"});
      EXPECT_THAT(done({"info", file}), HasSubstr("heads 3, patch 8"));
      done({"convert", file, "again" + ending, "--part", part});
      EXPECT_THAT(done({"info", "again" + ending}), HasSubstr("heads 3, patch 8"));
    }
  }
  done({"export", "backbone.pth", "b.pt"});
}

// The official evaluations strip `module.` and `backbone.`, unsup_cls.py wants both, and the
// program that fine-tunes takes the bare backbone under `model`.
TEST_F(IbotModel, LaysOutANetworkForEveryOfficialProgram) {
  write_checkpoint();
  done({"convert", "a.safetensors", "n.pth", "--part", "network", "--key", "student"});
  const auto root = io::read_torch_file(folder_ / "n.pth").root;
  const auto& network = *root.dict()->find("student")->dict();
  const auto& bare = *root.dict()->find("model")->dict();
  EXPECT_NE(network.find("module.head.last_layer.weight_v"), nullptr);
  size_t backbone = 0;
  for (const auto& [name, value] : network.items) {
    EXPECT_THAT(*name.text(), StartsWith("module."));
    const std::string prefix = "module.backbone.";
    if (!name.text()->starts_with(prefix)) continue;
    ++backbone;
    const auto* same = bare.find(name.text()->substr(prefix.size()));
    ASSERT_NE(same, nullptr) << *name.text();
    EXPECT_EQ(same->tensor()->const_data_ptr(), value.tensor()->const_data_ptr());
  }
  EXPECT_EQ(bare.items.size(), backbone);
}

TEST_F(IbotModel, WritesNoIncompleteNetwork) {
  write_checkpoint();
  done({"convert", "a.safetensors", "n.safetensors", "--part", "network"});
  auto file = io::read_safetensors(folder_ / "n.safetensors");
  file.tensors.erase("backbone.blocks.1.norm2.bias");
  file.tensors.erase("head.mlp.2.weight");
  io::write_safetensors(folder_ / "cut.safetensors", file);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"convert", "cut.safetensors", "out.pth"},
        {"convert", "cut.safetensors", "out.pth", "--part", "network"},
        {"export", "cut.safetensors", "out.pth"}}) {
    const auto result = run(words);
    EXPECT_EQ(result.status, 2);
    EXPECT_THAT(result.err, HasSubstr("backbone.blocks.1.norm2.bias"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.pth"));
  }
  auto checkpoint = train::load_checkpoint(folder_ / "a.safetensors");
  checkpoint.tensors.erase("loss.center");
  train::save_checkpoint(folder_ / "a.safetensors", checkpoint);
  const auto result = run({"convert", "a.safetensors", "out.pth", "--part", "all"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("loss.center"));
}

/// A ViT of patches of 14 pixels under the names of the DINOv2 hub.
io::Dict dino_v2() {
  const auto backbone = models::build_backbone({.arch = "vit_small",
                                                .patch_size = 14,
                                                .image_size = 28,
                                                .embed_dim = 128,
                                                .depth = {2},
                                                .heads = {2},
                                                .layer_scale = 0.5},
                                               models::Role::kTeacher);
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, tensor] : models::named_state(*backbone)) tensors[name] = tensor.detach();
  io::Dict hub{{{"mask_token", torch::zeros({1, 128})}}, "collections.OrderedDict"};
  for (const auto& [name, tensor] : models::timm_tensors(tensors)) {
    hub.items.emplace_back(name, tensor);
  }
  return hub;
}

// The default crops are no whole patches of it, which the backbone alone has nothing to do with.
TEST_F(IbotModel, ReadsDinoV2) {
  auto hub = dino_v2();
  io::write_torch_file(folder_ / "hub.pth", hub);
  EXPECT_THAT(done({"info", "hub.pth"}),
              AllOf(HasSubstr("width 128, depth 2, heads 2, patch 14, image 28"),
                    Not(HasSubstr("unknown"))));
  done({"export", "hub.pth", "hub.pt"});
  const auto program = torch::jit::load((folder_ / "hub.pt").string());
}

TEST_F(IbotModel, ReadsTheRegistersOfDinoV2) {
  auto hub = dino_v2();
  const auto registers = torch::randn({1, 4, 128});
  hub.items.emplace_back("register_tokens", registers);
  io::write_torch_file(folder_ / "hub.pth", hub);
  EXPECT_THAT(done({"info", "hub.pth"}),
              HasSubstr("width 128, depth 2, heads 2, registers 4, patch 14, image 28"));
  done({"export", "hub.pth", "hub.pt"});
  const auto weights = models::read_weights(folder_ / "hub.pth");
  EXPECT_TENSOR_EQUAL(weights.tensors.at("backbone.register_tokens"), registers);
  const auto backbone =
      models::build_backbone(models::infer_backbone(weights), models::Role::kTeacher);
  models::load_weights_(*backbone, weights, "backbone.");
  const torch::NoGradGuard no_grad;
  const auto images = torch::randn({2, 3, 28, 28});
  const auto expected = backbone->forward(images);
  auto program = torch::jit::load((folder_ / "hub.pt").string());
  const auto actual = program.forward({images}).toTuple();
  EXPECT_TENSOR_NEAR(actual->elements()[0].toTensor(), expected.class_token);
  EXPECT_TENSOR_NEAR(actual->elements()[1].toTensor(), expected.patch_tokens);
  done({"convert", "hub.pth", "again.pth"});
  EXPECT_THAT(done({"info", "again.pth"}), HasSubstr("registers 4"));
  EXPECT_EQ(io::read_torch_file(folder_ / "again.pth")
                .root.dict()
                ->find("state_dict")
                ->dict()
                ->find("register_tokens")
                ->tensor()
                ->sizes(),
            (std::vector<int64_t>{1, 4, 128}));
}

TEST_F(IbotModel, TakesTheNetworkUnderAnyKey) {
  io::write_torch_file(folder_ / "x.pth",
                       io::Dict{{{"net", dino_v2()}, {"epoch", int64_t{1}}}, ""});
  const auto result = run({"info", "x.pth"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err,
              HasSubstr("the file has keys net, epoch; name the network's with --key: net"));
  EXPECT_THAT(done({"info", "x.pth", "--key", "net"}), HasSubstr("patch 14"));
  done({"convert", "x.pth", "y.safetensors", "--key", "net"});
  EXPECT_THAT(done({"info", "y.safetensors"}), HasSubstr("patch 14"));
}

TEST_F(IbotModel, DescribesLinearClassifiers) {
  const auto out = done({"info", golden("checkpoint_teacher_linear.pth")});
  for (const char* text :
       {"pth (zip), linear classifiers\n", "1 of 7 classes, features of width 12",
        "best          classifier 0\n", "best top-1    41.25\n", "epoch 3\n"}) {
    EXPECT_THAT(out, HasSubstr(text));
  }
  const auto result = run({"convert", golden("checkpoint_teacher_linear.pth"), "x.pth"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("expected a network, got linear classifiers"));
}

}  // namespace
}  // namespace ibot
