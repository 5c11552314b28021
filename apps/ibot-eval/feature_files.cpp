#include "ibot-eval/feature_files.h"

#include "common/identity.h"
#include "common/run_main.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/torch_file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kListFile = "files.txt";

torch::Tensor read_tensor(const fs::path& file, int64_t dimensions, bool floating) {
  const auto content = io::read_torch_file(file);
  const auto* tensor = content.root.tensor();
  IBOT_CHECK(tensor != nullptr, file.string(), ": expected one tensor, got something else");
  IBOT_CHECK(tensor->dim() == dimensions && tensor->is_floating_point() == floating, file.string(),
             ": expected ", floating ? "features [images, width]" : "labels [images], integers",
             ", got ", tensor->sizes(), " of ", tensor->dtype().name());
  return tensor->to(floating ? torch::kFloat : torch::kLong).contiguous();
}

eval::FeatureBank read_bank(const fs::path& folder, const std::string& split) {
  const auto labels_file = folder / (split + "labels.pth");
  eval::FeatureBank bank{read_tensor(folder / (split + "feat.pth"), 2, true),
                         read_tensor(labels_file, 1, false),
                         {},
                         split};
  const auto images = bank.features.size(0);
  IBOT_CHECK(images > 0, folder.string(), ": expected features of at least one image, got none");
  IBOT_CHECK(bank.labels.size(0) == images, labels_file.string(), ": expected ", images,
             " labels, as many as features, got ", bank.labels.size(0));
  IBOT_CHECK(bank.labels.min().item<int64_t>() >= 0, labels_file.string(),
             ": expected labels from 0 on, got ", bank.labels.min().item<int64_t>());
  bank.sample_id = torch::arange(images, torch::kLong);
  return bank;
}

/// What the four files hold, each under its name.
Identity contents_of(const FeatureBanks& banks) {
  Identity identity("dumped features", 1);
  for (const auto& [bank, split] : {std::pair{&banks.train, "train"}, {&banks.test, "test"}}) {
    identity.add_hash(concat(split, "feat.pth"), tensors_hash({{"", bank->features}}));
    identity.add_hash(concat(split, "labels.pth"), tensors_hash({{"", bank->labels}}));
  }
  return identity;
}

/// Without the list of what was written together the four are taken as they are.
void check_together(const fs::path& folder, const FeatureBanks& banks) {
  const auto list = folder / kListFile;
  if (!fs::exists(list)) return;
  const auto differing = contents_of(banks).differences(io::read_file(list));
  IBOT_CHECK(differing.empty(), folder.string(),
             ": expected four files that were dumped together, got others by these names: ",
             differing, "; dump them again, or remove ", kListFile, " if they are right");
}

}  // namespace

void write_features(const fs::path& folder, FeatureBanks banks) {
  std::error_code error;
  fs::create_directories(folder, error);
  IBOT_CHECK(!error, folder.string(), ": cannot create the folder: ", error.message());
  // While they are written no list says that they belong together.
  fs::remove(folder / kListFile, error);
  for (auto [bank, split] : {std::pair{&banks.train, "train"}, {&banks.test, "test"}}) {
    bank->features = eval::unit_length(bank->features);
    io::write_torch_file(folder / concat(split, "feat.pth"), bank->features);
    io::write_torch_file(folder / concat(split, "labels.pth"), bank->labels);
  }
  io::write_file(folder / kListFile, contents_of(banks).text());
}

FeatureBanks read_features(const fs::path& folder) {
  return open_input([&] {
    FeatureBanks banks{read_bank(folder, "train"), read_bank(folder, "test"), 0};
    const auto width = banks.train.features.size(1);
    IBOT_CHECK(banks.test.features.size(1) == width, (folder / "testfeat.pth").string(),
               ": expected features of width ", width, " as in trainfeat.pth, got ",
               banks.test.features.size(1));
    check_together(folder, banks);
    banks.classes = banks.train.labels.max().item<int64_t>() + 1;
    IBOT_CHECK(banks.test.labels.max().item<int64_t>() < banks.classes,
               (folder / "testlabels.pth").string(), ": expected labels below ", banks.classes,
               ", those of trainlabels.pth, got ", banks.test.labels.max().item<int64_t>());
    return banks;
  });
}

}  // namespace ibot::apps
