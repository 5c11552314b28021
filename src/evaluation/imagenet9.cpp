#include <algorithm>

#include "evaluation/robustness_tests.h"
#include "ibot/base/error.h"
#include "ibot/data/file_list.h"
#include "ibot/data/image_folder.h"
#include "ibot/data/npy_mask.h"
#include "ibot/eval/imagenet.h"
#include "ibot/eval/robustness.h"
#include "ibot/image/eval_transform.h"
#include "ibot/loading/labeled_loader.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

// Each foreground passes the network with up to all backgrounds.
constexpr int64_t kBackgroundPart = 32;

/// The class of ImageNet-9 of each of the classifier's classes; -1: none.
torch::Tensor classes_of(const ClassifiedSubject& subject) {
  const auto& folders = eval::imagenet9_classes();
  std::vector<int64_t> classes;
  for (const auto& name : subject.classes) {
    const auto own = std::find(folders.begin(), folders.end(), name);
    // A classifier of the nine classes, or one of ImageNet-1k whose classes map to them.
    classes.push_back(own != folders.end() ? own - folders.begin()
                                           : eval::imagenet9_class(eval::imagenet_class(name)));
  }
  IBOT_CHECK_AS(DataError,
                std::any_of(classes.begin(), classes.end(), [](auto it) { return it >= 0; }),
                "imagenet9: expected a classifier of classes of ImageNet-1k or ImageNet-9, got ",
                subject.classes.front(), ", ...");
  return torch::tensor(classes, torch::kLong);
}

class Imagenet9Test : public RobustnessTest {
 public:
  explicit Imagenet9Test(const RobustnessInputs& inputs) : class_of_(classes_of(inputs.subject)) {
    for (const auto& variant : eval::imagenet9_variants()) {
      const auto folder = inputs.folder / variant / "val";
      if (!fs::is_directory(folder)) {
        notes_.push_back(concat("imagenet9: ", folder.string(), " is missing; left out"));
        continue;
      }
      sets_.push_back(predicted_set(inputs, "imagenet9", variant, folder));
      targets_.push_back(torch::tensor(
          places_of(sets_.back().images->class_names(), eval::imagenet9_classes(), folder),
          torch::kLong));
    }
    IBOT_CHECK_AS(DataError, !sets_.empty(), inputs.folder.string(),
                  ": expected the variants of ImageNet-9, folders original/val, only_fg/val, "
                  "..., found none");
  }

  void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const override {
    for (size_t i = 0; i < banks.size(); ++i) {
      const auto name = "imagenet9_" + sets_[i].name;
      const auto accuracy =
          eval::mapped_accuracy(banks[i].features.select(1, 0).to(torch::kLong),
                                targets_[i].index_select(0, banks[i].labels), class_of_);
      report.metrics[name] = accuracy;
      add_line(report, name, accuracy);
    }
    const auto same = report.metrics.find("imagenet9_mixed_same");
    const auto random = report.metrics.find("imagenet9_mixed_rand");
    if (same == report.metrics.end() || random == report.metrics.end()) return;
    // BG-Gap of Xiao et al. 2021: what a foreign background costs.
    report.metrics["imagenet9_background_gap"] = same->second - random->second;
    add_line(report, "imagenet9_background_gap", same->second - random->second);
  }

 private:
  torch::Tensor class_of_;
  std::vector<torch::Tensor> targets_;  // by the number of the folder
};

/// Masks of foregrounds and the images that they belong to.
struct Foregrounds {
  std::vector<fs::path> masks;
  std::vector<data::FileList::Entry> images;
};

Foregrounds foregrounds_in(const fs::path& root) {
  Foregrounds found;
  const auto& classes = eval::imagenet9_classes();
  for (size_t number = 0; number < classes.size(); ++number) {
    const auto folder = root / "fg_mask" / "val" / classes[number];
    std::vector<fs::path> masks;
    if (fs::is_directory(folder)) {
      for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".npy") masks.push_back(entry.path());
      }
    }
    // A folder lists its files in any order.
    std::sort(masks.begin(), masks.end());
    for (const auto& mask : masks) {
      const auto name = mask.stem().string() + ".JPEG";
      found.images.push_back({(root / "original" / "val" / classes[number] / name).string(),
                              static_cast<int64_t>(number)});
      found.masks.push_back(mask);
    }
  }
  IBOT_CHECK_AS(DataError, !found.masks.empty(), root.string(),
                ": expected masks fg_mask/val/CLASS/*.npy, found none");
  return found;
}

/// The class that some background makes of each foreground, its own where none takes it out.
class ChallengeTest : public RobustnessTest {
 public:
  explicit ChallengeTest(const RobustnessInputs& inputs)
      : inputs_(inputs),
        class_of_(classes_of(inputs.subject).to(inputs.subject.network.device)),
        backgrounds_(inputs.folder / "only_bg_t" / "val") {
    auto [masks, images] = foregrounds_in(inputs.folder);
    masks_ = std::move(masks);
    for (const auto& image : images) classes_.push_back(image.label);
    const auto foregrounds = std::make_shared<const data::FileList>(
        (inputs.folder / "fg_mask").string(), std::move(images), eval::imagenet9_classes());
    auto how = inputs.how;
    // The images have the size of the network's input.
    how.resize_size = 0;
    const auto embed = [this](const torch::Tensor& pixels, int64_t first) {
      std::vector<torch::Tensor> rows;
      for (int64_t i = 0; i < pixels.size(0); ++i) {
        rows.push_back(torch::full({1, 1}, static_cast<float>(class_before(pixels[i], first + i))));
      }
      return torch::cat(rows);
    };
    auto identity = set_identity(inputs, "challenge", *foregrounds, how);
    identity.add_hash("backgrounds", backgrounds_.content_hash());
    identity.add_hash("masks", hash_of_masks());
    sets_.push_back({"challenge", foregrounds, {embed, std::move(identity), kBackgroundPart}, how});
  }

  void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const override {
    const auto& bank = banks.front();
    const auto percent = eval::vulnerable_percent(bank.features.to(torch::kLong), bank.labels);
    report.metrics["background_challenge_vulnerable"] = percent;
    add_line(report, "background_challenge_vulnerable", percent);
  }

 private:
  std::string hash_of_masks() const {
    std::vector<std::pair<std::string, torch::Tensor>> tensors;
    const auto side = inputs_.how.crop_size;
    for (const auto& file : masks_) {
      const auto mask = data::read_npy_mask(file);
      IBOT_CHECK_AS(DataError, mask.size(0) == side && mask.size(1) == side, file.string(),
                    ": expected a mask of ", side, " x ", side, ", as eval.crop_size says, got ",
                    mask.size(0), " x ", mask.size(1));
      tensors.emplace_back(file.filename().string(), mask);
    }
    return tensors_hash(tensors);
  }

  /// All backgrounds, [S, 3, H, W] uint8: as many as there are foregrounds that each of them meets.
  const torch::Tensor& backgrounds() const {
    if (pixels_.defined()) return pixels_;
    data::LabeledLoader loader(backgrounds_,
                               {.transform = {.resize_size = 0, .crop_size = inputs_.how.crop_size},
                                .decode = inputs_.how.decode,
                                .batch_size = inputs_.how.batch_size,
                                .workers = inputs_.how.workers,
                                .prefetch_batches = inputs_.how.prefetch_batches});
    std::vector<torch::Tensor> parts;
    while (const auto batch = loader.next()) parts.push_back(batch->image);
    return pixels_ = torch::cat(parts);
  }

  /// The first one that is not its own before the backgrounds in turn.
  int64_t class_before(const torch::Tensor& pixels, int64_t number) const {
    const auto own = classes_[static_cast<size_t>(number)];
    const auto mask = data::read_npy_mask(masks_[static_cast<size_t>(number)]);
    const auto side = inputs_.how.crop_size;
    const auto device = pixels.device();
    const auto share = mask.to(device).to(torch::kFloat).view({1, 1, side, side});
    const auto foreground = pixels.unsqueeze(0).to(torch::kFloat) / 255.0;
    for (const auto& part : backgrounds().split(inputs_.how.batch_size)) {
      const auto images = eval::composites(foreground, part.to(device).to(torch::kFloat) / 255.0,
                                           share, inputs_.how.normalization);
      const auto classes =
          class_of_.index_select(0, predicted(inputs_, images).select(1, 0).to(torch::kLong));
      const auto others = classes.masked_select(classes != own);
      // One background that misleads is enough: the rest need not be looked at.
      if (others.numel() > 0) return others[0].item<int64_t>();
    }
    return own;
  }

  RobustnessInputs inputs_;
  torch::Tensor class_of_;
  data::ImageFolder backgrounds_;
  std::vector<fs::path> masks_;
  std::vector<int64_t> classes_;
  mutable torch::Tensor pixels_;  // read when the first foreground needs them
};

}  // namespace

std::unique_ptr<RobustnessTest> imagenet9_test(const RobustnessInputs& inputs) {
  return std::make_unique<Imagenet9Test>(inputs);
}

std::unique_ptr<RobustnessTest> challenge_test(const RobustnessInputs& inputs) {
  return std::make_unique<ChallengeTest>(inputs);
}

}  // namespace ibot::evaluation
