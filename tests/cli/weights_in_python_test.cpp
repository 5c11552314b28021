// Our files as Python sees them. Skipped where its modules are missing.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/io/safetensors.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/python.h"
#include "support/run_program.h"

namespace ibot {
namespace {

class WeightsInPython : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = testing::test_folder(); }

  /// Runs the lines in the test's folder; the exit status is theirs.
  void python(const std::string& lines) const {
    std::ofstream(folder_ / "check.py") << lines;
    const auto status = std::system(
        ("cd " + testing::shell_quoted(folder_.string()) + " && python3 check.py >python.txt 2>&1")
            .c_str());
    EXPECT_EQ(status, 0) << testing::read_text(folder_ / "python.txt");
  }

  void convert(std::vector<std::string> words) const {
    words.insert(words.begin(), "convert");
    const auto result = testing::run_program("ibot-model", words, folder_);
    ASSERT_EQ(result.status, 0) << result.err;
  }

  std::filesystem::path folder_;
};

TEST_F(WeightsInPython, TimmGivesTheSameFeatures) {
  if (!testing::python_has("timm, safetensors")) GTEST_SKIP() << "no timm for python3";
  auto network = models::build_backbone({.arch = "vit_small"}, models::Role::kTeacher);
  models::initialize_(*network, at::detail::createCPUGenerator(1));
  network->eval();
  io::Safetensors file;
  for (const auto& [name, tensor] : models::named_state(*network)) file.tensors[name] = tensor;
  io::write_safetensors(folder_ / "own.safetensors", file);
  convert({"own.safetensors", "timm.safetensors"});
  const torch::NoGradGuard no_grad;
  const auto images = torch::randn({2, 3, 224, 224}, at::detail::createCPUGenerator(2));
  const auto output = network->forward(images);
  io::write_safetensors(folder_ / "expected.safetensors",
                        {{{"images", images}, {"features", output.class_token}}, {}});
  python(R"(
import timm, torch
from safetensors.torch import load_file
model = timm.create_model('vit_small_patch16_224', checkpoint_path='timm.safetensors', num_classes=0)
model.eval()
expected = load_file('expected.safetensors')
with torch.no_grad():
    difference = (model(expected['images']) - expected['features']).abs().max().item()
print(difference)
assert difference < 1e-4
)");
}

TEST_F(WeightsInPython, TorchLoadsTheReferencesCheckpointAgain) {
  if (!testing::python_has("torch")) GTEST_SKIP() << "no torch for python3";
  for (const std::string name : {"ckpt_vit", "ckpt_vit_bn", "ckpt_swin"}) {
    const auto original = (testing::golden_root() / "13_checkpoint" / (name + ".pth")).string();
    std::vector<std::string> words{original, "own.safetensors", "--part", "all"};
    if (name != "ckpt_swin") words.push_back("backbone.heads=2");  // of width 12
    convert(words);
    convert({"own.safetensors", name + ".pth", "--part", "all"});
    convert({original, name + "_backbone.pth"});
    python(R"(
import sys, torch
original = torch.load(')" +
           original + R"(', weights_only=False)
again = torch.load(')" +
           name + R"(.pth', weights_only=True)
for key in 'student', 'teacher', 'ibot_loss':
    assert original[key].keys() == again[key].keys(), key
    for name, tensor in original[key].items():
        assert torch.equal(tensor, again[key][name]) and tensor.dtype == again[key][name].dtype, name
assert again['epoch'] == original['epoch']
for name, value in again['args'].items():
    stated = getattr(original['args'], name)
    if isinstance(value, list): stated = list(stated) if isinstance(stated, tuple) else [stated]
    assert name == 'arch' or stated == value, name
# PyTorch's own optimiser takes the state back.
groups = [[torch.nn.Parameter(torch.zeros_like(original['optimizer']['state'][i]['exp_avg']))
           if i in original['optimizer']['state'] else torch.nn.Parameter(torch.zeros(1))
           for i in group['params']] for group in original['optimizer']['param_groups']]
optimizer = torch.optim.AdamW([{'params': group} for group in groups])
optimizer.load_state_dict(again['optimizer'])
state = optimizer.state_dict()['state']
assert state.keys() == original['optimizer']['state'].keys()
for index, entry in original['optimizer']['state'].items():
    for name, value in entry.items():
        assert torch.equal(torch.as_tensor(value).float(), state[index][name].float()), (index, name)
backbone = torch.load(')" +
           name + R"(_backbone.pth', weights_only=True)['state_dict']
teacher = {k.replace('module.', '').replace('backbone.', ''): v for k, v in original['teacher'].items()
           if 'backbone.' in k}
assert backbone.keys() == teacher.keys()
assert all(torch.equal(backbone[k], teacher[k]) for k in teacher)
)");
  }
}

}  // namespace
}  // namespace ibot
