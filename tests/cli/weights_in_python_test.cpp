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
# PyTorch's own optimizer takes the state back.
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

// Both directions load strictly, and give equal features with equal epsilons.
TEST_F(WeightsInPython, SwinGoesToTimmAndBack) {
  if (!testing::python_has("timm, safetensors")) GTEST_SKIP() << "no timm for python3";
  const models::BackboneOptions options{.arch = "swin_tiny",
                                        .patch_size = 4,
                                        .image_size = 112,
                                        .embed_dim = 24,
                                        .depth = {2, 2, 2},
                                        .heads = {2, 4, 8}};
  const auto network = models::build_backbone(options, models::Role::kTeacher);
  models::initialize_(*network, at::detail::createCPUGenerator(1));
  network->eval();
  io::Safetensors file;
  for (const auto& [name, tensor] : models::named_state(*network)) file.tensors[name] = tensor;
  io::write_safetensors(folder_ / "own.safetensors", file);
  convert({"own.safetensors", "timm.safetensors", "backbone.image_size=112"});
  const torch::NoGradGuard no_grad;
  const auto images = torch::randn({2, 3, 112, 112}, at::detail::createCPUGenerator(2));
  io::write_safetensors(
      folder_ / "expected.safetensors",
      {{{"images", images}, {"features", network->forward(images).class_token}}, {}});
  python(R"(
import functools, timm, torch
from safetensors.torch import load_file, save_file
from timm.models.swin_transformer import SwinTransformer
def swin():
    torch.manual_seed(3)
    return SwinTransformer(img_size=112, patch_size=4, window_size=7, embed_dim=24, depths=(2, 2, 2),
                           num_heads=(2, 4, 8), num_classes=0,
                           norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6)).eval()
expected = load_file('expected.safetensors')
with torch.no_grad():
    model = swin()
    model.load_state_dict(load_file('timm.safetensors'), strict=True)
    difference = (model(expected['images']) - expected['features']).abs().max().item()
    print(difference)
    assert difference < 1e-4
    other = swin()
    torch.save(other.state_dict(), 'other.pth')
    save_file({'features': other(expected['images']).contiguous()}, 'other_features.safetensors')
)");
  convert({"other.pth", "ours.safetensors", "--part", "network", "backbone.image_size=112"});
  const auto weights = models::read_weights(folder_ / "ours.safetensors");
  const auto report = models::load_weights_(*network, weights, "backbone.");
  EXPECT_TRUE(report.unused.empty()) << models::summary(report);
  const auto other = io::read_safetensors(folder_ / "other_features.safetensors").tensors;
  EXPECT_TENSOR_NEAR(network->forward(images).class_token, other.at("features"));
}

// timm's registers have no position and its class token has its own within: both ways are equal.
TEST_F(WeightsInPython, RegistersGoToTimmAndBack) {
  if (!testing::python_has("timm, safetensors")) GTEST_SKIP() << "no timm for python3";
  const models::BackboneOptions options{.arch = "vit_small",
                                        .patch_size = 14,
                                        .image_size = 56,
                                        .embed_dim = 128,
                                        .depth = {2},
                                        .heads = {2},
                                        .layer_scale = 0.5,
                                        .registers = 4};
  const auto network = models::build_backbone(options, models::Role::kTeacher);
  models::initialize_(*network, at::detail::createCPUGenerator(1));
  network->eval();
  const torch::NoGradGuard no_grad;
  network->named_parameters()["register_tokens"].normal_(0.0, 1.0,
                                                         at::detail::createCPUGenerator(4));
  io::Safetensors file;
  for (const auto& [name, tensor] : models::named_state(*network)) file.tensors[name] = tensor;
  io::write_safetensors(folder_ / "own.safetensors", file);
  convert({"own.safetensors", "timm.safetensors"});
  const auto images = torch::randn({2, 3, 56, 56}, at::detail::createCPUGenerator(2));
  const auto output = network->forward(images);
  io::write_safetensors(folder_ / "expected.safetensors",
                        {{{"images", images},
                          {"class_token", output.class_token},
                          {"patch_tokens", output.patch_tokens.contiguous()}},
                         {}});
  python(R"(
import timm, torch
from safetensors.torch import load_file, save_file
def vit():
    torch.manual_seed(3)
    return timm.create_model('vit_small_patch14_reg4_dinov2', img_size=56, embed_dim=128, depth=2,
                             num_heads=2, num_classes=0).eval()
expected = load_file('expected.safetensors')
with torch.no_grad():
    model = vit()
    model.load_state_dict(load_file('timm.safetensors'), strict=True)
    tokens = model.forward_features(expected['images'])
    for name, actual in (('class_token', tokens[:, 0]), ('patch_tokens', tokens[:, 5:])):
        difference = (actual - expected[name]).abs().max().item()
        print(name, difference)
        assert difference < 1e-4
    other = vit()
    other.reg_token.normal_()
    torch.save(other.state_dict(), 'other.pth')
    tokens = other.forward_features(expected['images'])
    save_file({'class_token': tokens[:, 0].contiguous(), 'patch_tokens': tokens[:, 5:].contiguous()},
              'other_tokens.safetensors')
)");
  const auto weights = models::read_weights(folder_ / "other.pth");
  const auto again =
      models::build_backbone(models::infer_backbone(weights), models::Role::kTeacher);
  again->eval();
  const auto report = models::load_weights_(*again, weights, "backbone.");
  EXPECT_TRUE(report.unused.empty()) << models::summary(report);
  const auto other = io::read_safetensors(folder_ / "other_tokens.safetensors").tensors;
  EXPECT_TENSOR_NEAR(again->forward(images).class_token, other.at("class_token"));
  EXPECT_TENSOR_NEAR(again->forward(images).patch_tokens, other.at("patch_tokens"));
}

// Whatever lies beside the tensors, in every protocol and both formats of torch.save.
TEST_F(WeightsInPython, ReadsTensorsBesideObjectsOfEveryKind) {
  if (!testing::python_has("torch, numpy")) GTEST_SKIP() << "no torch for python3";
  auto network = models::build_backbone({.arch = "vit_small",
                                         .patch_size = 4,
                                         .image_size = 8,
                                         .embed_dim = 64,
                                         .depth = {1},
                                         .heads = {1}},
                                        models::Role::kTeacher);
  io::Safetensors file;
  for (const auto& [name, tensor] : models::named_state(*network)) file.tensors[name] = tensor;
  io::write_safetensors(folder_ / "own.safetensors", file);
  python(R"(
import argparse, collections, datetime, decimal, enum, fractions, functools, pathlib, random, types, uuid
import numpy as np, torch
from safetensors.torch import load_file
class Color(enum.Enum): RED = 1
class Plain:
    def __init__(self): self.a = 1
class Stateful:
    def __getstate__(self): return {'w': torch.ones(2)}
    def __setstate__(self, state): open('executed', 'w')
class Reduced:
    def __reduce__(self): return open, ('executed', 'w')
class Sub(collections.OrderedDict): pass
Wide = collections.namedtuple('Wide', ['f%d' % i for i in range(20)])
def quantized(): return torch.quantize_per_tensor(torch.ones(3), .1, 0, torch.qint8)
makers = [
  lambda: [np.dtype(t).type(1) for t in '?bBhHiIlLqQefdgFD'] + [np.uint64(2**64 - 1), np.str_('x')],
  lambda: [np.array(1.5, dtype='>f8')[()], np.datetime64('2020-01-01'), np.arange(5), np.array([None])],
  lambda: [np.random.RandomState(0).get_state(), np.random.default_rng(0), random.getstate()],
  lambda: [pathlib.Path('/x'), pathlib.PureWindowsPath('x'), torch.device('cuda:1'), torch.float16],
  lambda: [torch.Size([1]), torch.nn.Parameter(torch.ones(2)), torch.nn.Linear(2, 2)],
  lambda: [torch.ones(2, dtype=t) for t in (torch.bfloat16, torch.complex64, torch.uint16, torch.bool)],
  lambda: torch.ones(2).to(torch.float8_e4m3fn), lambda: torch.ones(2, device='meta'),
  lambda: torch.ones(3).to_sparse(), quantized,
  lambda: [{1, 2}, frozenset([1]), collections.Counter('aab'), collections.deque([1], 3)],
  lambda: [collections.defaultdict(list, a=[1]), collections.defaultdict(int), Sub(a=1), Wide(*range(20))],
  lambda: [types.SimpleNamespace(a=1), argparse.Namespace(a=pathlib.Path('x')), collections.ChainMap({})],
  lambda: [datetime.datetime.now(), datetime.timedelta(1), decimal.Decimal('1.5'), uuid.uuid4()],
  lambda: [2**70, -2**70, 2**5000, 2**63, -2**63, 2**31, 256, 1.5, True, b'x', bytearray(b'x'), '', 'é'],
  lambda: {None: 1, (1, 2): 2, 1.5: 3, b'b': 4, frozenset([1]): 5, Color.RED: 6, 7: 8},
  lambda: [Color.RED, Plain(), Stateful(), Reduced(), functools.partial(print, 1), Plain, len, slice(1)],
]
model = load_file('own.safetensors')
count = 0
for protocol in 1, 2, 3, 4, 5:
    for zipped in True, False:
        extra = []
        for maker in makers:
            try:
                torch.save(maker(), 'try.pth', pickle_protocol=protocol)
                extra.append(maker())
            except Exception as problem:
                print(protocol, problem)
        torch.save({'extra': extra, 'model': model}, '%d.pth' % count, pickle_protocol=protocol,
                   _use_new_zipfile_serialization=zipped)
        count += 1
assert count == 10
)");
  const auto hash = [&](const std::string& name) {
    const auto result = testing::run_program("ibot-model", {"info", name}, folder_);
    EXPECT_EQ(result.status, 0) << name << ": " << result.err;
    const auto at = result.out.find("backbone  ");
    return at == std::string::npos ? result.out
                                   : result.out.substr(result.out.find('\n', at) - 32, 32);
  };
  const auto expected = hash("own.safetensors");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(hash(std::to_string(i) + ".pth"), expected) << i;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "executed"));
}

}  // namespace
}  // namespace ibot
