#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "data/parallel.h"
#include "evaluation/table.h"
#include "evaluation/video_files.h"
#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/option_text.h"
#include "ibot/data/davis_set.h"
#include "ibot/data/index_map.h"
#include "ibot/eval/evaluation_mode.h"
#include "ibot/eval/feature_store.h"
#include "ibot/eval/mask_quality.h"
#include "ibot/eval/propagation.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::evaluation {
namespace {

using data::VideoSequence;

class DavisData : public Data {
 public:
  explicit DavisData(data::DavisSet set) : set_(std::move(set)) {
    Hash hash;
    hash.add(set_.frames.content_hash());
    hash.add(set_.masks.content_hash());
    hash_ = hash.hex();
  }
  std::string hash() const override { return hash_; }
  const data::DavisSet& set() const { return set_; }

 private:
  data::DavisSet set_;
  std::string hash_;
};

/// The deviation of red is 0.228 here, as the reference has it.
batch::Normalization frame_normalization(batch::Normalization normalization) {
  if (normalization.std == batch::Normalization().std) normalization.std[0] = 0.228;
  return normalization;
}

/// The size in which the network sees a frame.
data::ImageSize network_size(data::ImageSize size, int64_t short_side) {
  const auto long_side = [&](int64_t from, int64_t other) {
    // Down to a multiple of 64, as the reference has it.
    return short_side * from / other / 64 * 64;
  };
  if (size.height > size.width) return {long_side(size.height, size.width), short_side};
  return {short_side, long_side(size.width, size.height)};
}

/// Shows how many frames are done, from several threads.
class FrameProgress {
 public:
  FrameProgress(const Listener& listener, int64_t frames) : listener_(listener) {
    stage_ = {.label = "video", .unit = "frames", .total = frames};
    listener.progress(stage_);
  }
  void add(int64_t frames, const std::string& note) {
    const std::lock_guard lock(mutex_);
    stage_.done += frames;
    stage_.note = note;
    listener_.progress(stage_);
  }
  void finish() {
    stage_.finished = true;
    listener_.progress(stage_);
  }

 private:
  const Listener& listener_;
  std::mutex mutex_;
  Stage stage_;
};

/// Follows the objects of one sequence after the other.
class Follower {
 public:
  Follower(const Inputs& inputs, const data::DavisSet& set, const eval::VideoOptions& options)
      : inputs_(inputs), set_(set), options_(options) {}

  /// Label images of all frames, the given one first: [frames, H, W], uint8.
  torch::Tensor masks(const VideoSequence& sequence, FrameProgress& progress) const {
    const torch::NoGradGuard no_grad;
    const auto size = network_size(sequence.size, options_.short_side);
    const auto given = data::read_index_map(set_.masks.path(sequence.first));
    const auto grid = inputs_.subject.backbone->grid(size.height, size.width);
    // Void pixels are followed as background.
    const auto objects = torch::where(given == data::kVoid, torch::zeros_like(given), given);
    eval::Propagation propagation(options_, features(sequence.first, size),
                                  eval::nearest(objects, grid.rows, grid.columns).to(torch::kLong));
    auto masks =
        torch::empty({sequence.count, sequence.size.height, sequence.size.width}, torch::kByte);
    // The first frame's labels are given, not predicted.
    masks[0].copy_(given);
    progress.add(1, sequence.name);
    for (int64_t i = 1; i < sequence.count; ++i) {
      const auto soft = propagation.next(features(sequence.first + i, size));
      const auto full = eval::normalized_masks(soft, size.height / grid.rows);
      masks[i].copy_(eval::label_image(full, sequence.size.height, sequence.size.width));
      progress.add(1, sequence.name);
    }
    return masks;
  }

 private:
  /// Of a frame's patches: [rows, columns, D].
  torch::Tensor features(int64_t frame, data::ImageSize size) const {
    const auto& subject = inputs_.subject;
    const auto image = data::read_frame(set_, frame, size).unsqueeze(0).to(subject.device);
    const auto pixels =
        batch::normalized(image, frame_normalization(inputs_.extraction.normalization));
    const nn::AutocastScope autocast(subject.device.type(),
                                     optim::autocast_dtype(options_.precision, subject.device));
    const auto tokens = subject.backbone->forward(pixels).patch_tokens[0].to(torch::kFloat);
    eval::check_finite(tokens, "video", "features");
    const auto grid = subject.backbone->grid(size.height, size.width);
    return tokens.view({grid.rows, grid.columns, -1});
  }

  const Inputs& inputs_;
  const data::DavisSet& set_;
  const eval::VideoOptions& options_;
};

/// J and F of one object of a sequence, frame by frame.
struct ObjectQuality {
  std::string name;
  std::vector<double> region;
  std::vector<double> contour;
};

/// The first and the last frame are not judged.
std::vector<ObjectQuality> judge(const data::DavisSet& set, const VideoSequence& sequence,
                                 const torch::Tensor& masks) {
  std::vector<ObjectQuality> objects(sequence.objects);
  for (int64_t object = 1; object <= sequence.objects; ++object) {
    objects[object - 1].name = concat(sequence.name, "_", object);
  }
  for (int64_t i = 1; i + 1 < sequence.count; ++i) {
    const auto truth = data::read_index_map(set.masks.path(sequence.first + i));
    for (int64_t object = 1; object <= sequence.objects; ++object) {
      auto& quality = objects[object - 1];
      quality.region.push_back(eval::region_similarity(truth == object, masks[i] == object));
      quality.contour.push_back(eval::boundary_accuracy(truth == object, masks[i] == object));
    }
  }
  return objects;
}

class Video : public Evaluation {
 public:
  explicit Video(eval::VideoOptions options)
      : Evaluation({"video",
                    "DAVIS: objects followed from frame to frame by patch tokens",
                    {.own_data = true, .shared = true}}),
        options_(std::move(options)) {}

  std::unique_ptr<Data> open(const std::filesystem::path& root) const override {
    return std::make_unique<DavisData>(
        data::open_davis(root, options_.year, options_.split, threads(1 << 20, torch::kCPU)));
  }

  void prepare(const Inputs& inputs, const Listener& listener) const override {
    follow_all(inputs, listener, [](size_t, const torch::Tensor&) {});
  }

  eval::Report run(const Inputs& inputs, const Listener& listener) const override {
    const auto& set = dynamic_cast<const DavisData&>(*inputs.data).set();
    std::vector<std::vector<ObjectQuality>> qualities(set.sequences.size());
    follow_all(inputs, listener, [&](size_t i, const torch::Tensor& masks) {
      qualities[i] = judge(set, set.sequences[i], masks);
      if (inputs.output.empty()) return;
      write_masks(inputs.output, set, set.sequences[i], masks);
      if (options_.overlays) write_strip(inputs.output, set, set.sequences[i], masks);
    });
    const auto objects = judged(qualities);
    if (!inputs.output.empty()) write_tables(inputs.output, objects);
    return report_of(objects);
  }

 private:
  using Visit = std::function<void(size_t sequence, const torch::Tensor& masks)>;

  /// Sequences at a time.
  int64_t threads(int64_t sequences, torch::Device device) const {
    const int64_t cores = device.is_cuda() ? 2 : at::get_num_threads();
    return std::min(sequences, options_.parallel > 0 ? options_.parallel : cores);
  }

  /// Those of this process first.
  static std::vector<size_t> order(size_t sequences, const ExtractionOptions& options) {
    std::vector<size_t> order;
    const auto processes = static_cast<size_t>(options.processes);
    for (size_t first = 0; first < processes; ++first) {
      const size_t owner = (static_cast<size_t>(options.rank) + first) % processes;
      for (size_t i = owner; i < sequences; i += processes) order.push_back(i);
    }
    return order;
  }

  /// Masks of all sequences, several at a time, each read from the cache or computed and stored.
  void follow_all(const Inputs& inputs, const Listener& listener, const Visit& visit) const {
    optim::resolved(options_.precision, inputs.subject.device, "video.precision");
    const auto& set = dynamic_cast<const DavisData&>(*inputs.data).set();
    const auto store = store_of(inputs);
    const eval::EvaluationMode evaluation_mode(*inputs.subject.backbone);
    const Follower follower(inputs, set, options_);
    FrameProgress progress(listener, set.frames.size());
    const auto sequences = order(set.sequences.size(), inputs.extraction);
    const auto count = static_cast<int64_t>(sequences.size());
    const int64_t workers = threads(count, inputs.subject.device);
    const int inner = std::max(1, at::get_num_threads() / static_cast<int>(workers));
    const int outer = at::get_num_threads();
    data::for_each(count, workers, [&](int64_t i) {
      // Of LibTorch, per thread of ours: together as many as there are cores.
      at::set_num_threads(inner);
      const auto& sequence = set.sequences[sequences[i]];
      auto kept = store ? store->read(sequence.first, sequence.count) : std::nullopt;
      const auto masks = kept ? kept->features : follower.masks(sequence, progress);
      if (kept) progress.add(sequence.count, sequence.name);
      // Masks take the place of features in the store, with numbers of frames for labels.
      if (store && !kept) store->write(sequence.first, {masks, indices(masks), indices(masks), ""});
      visit(sequences[i], masks);
    });
    at::set_num_threads(outer);
    progress.finish();
  }

  static torch::Tensor indices(const torch::Tensor& masks) {
    return torch::arange(masks.size(0), torch::kLong);
  }

  std::optional<eval::FeatureStore> store_of(const Inputs& inputs) const {
    if (inputs.extraction.cache.empty()) return std::nullopt;
    Identity identity("masks of videos", about().version);
    identity.add_hash("weights", inputs.subject.hash);
    identity.add_images(inputs.data->hash());
    auto keys = feature_keys(inputs.subject, inputs.extraction);
    keys.merge(result_texts("video", options_));
    identity.add_keys(keys);
    return eval::FeatureStore(inputs.extraction.cache, identity.text());
  }

  static std::vector<ObjectResult> judged(
      const std::vector<std::vector<ObjectQuality>>& sequences) {
    std::vector<ObjectResult> results;
    for (const auto& sequence : sequences) {
      for (const auto& object : sequence) {
        results.push_back({object.name, eval::frame_statistics(object.region),
                           eval::frame_statistics(object.contour)});
      }
    }
    return results;
  }

  eval::Report report_of(const std::vector<ObjectResult>& objects) const {
    const auto means = global_means(objects);
    eval::Report report{.options = eval::option_values(options_),
                        .table = table_line("%-24s %8s %8s", "object", "J-Mean", "F-Mean")};
    for (const auto& object : objects) {
      report.table += table_line("%-24s %8.2f %8.2f", object.name.c_str(),
                                 100.0 * object.region.mean, 100.0 * object.contour.mean);
    }
    std::string names;
    std::string values;
    for (const auto& [name, value] : means) {
      names += table_line("%9s", name.c_str());
      values += table_line("%9.2f", 100.0 * value);
      names.back() = values.back() = ' ';
      report.metrics[metric_of(name)] = 100.0 * value;
    }
    report.table += names + '\n' + values + '\n';
    // J&F-Mean.
    report.score = 100.0 * means.front().second;
    return report;
  }

  /// "J&F-Mean" as j_and_f_mean.
  static std::string metric_of(const std::string& name) {
    std::string metric;
    for (const char c : name) {
      if (c == '&')
        metric += "_and_";
      else
        metric += c == '-' ? '_' : static_cast<char>(std::tolower(c));
    }
    return metric;
  }

  eval::VideoOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::VideoOptions& options) {
  return std::make_unique<Video>(options);
}

}  // namespace ibot::evaluation
