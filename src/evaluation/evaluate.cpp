#include "ibot/evaluation/evaluate.h"

#include "ibot/base/error.h"

namespace ibot::evaluation {
namespace {

/// Opens nothing: all that the evaluation declares is at hand.
Inputs inputs_of(const Evaluation& evaluation, Source& source, const Data* data) {
  const auto& reads = evaluation.about().reads;
  Inputs inputs{.subject = source.subject(),
                .data = data,
                .extraction = source.options(),
                .output = source.output()};
  // In this order: features that a later evaluation shares are computed once, by the source.
  if (reads.train_features) inputs.train = source.features(data::Split::kTrain);
  if (reads.test_features) inputs.test = source.features(data::Split::kVal);
  if (reads.images) inputs.images = source.images();
  if (reads.labeled_images()) inputs.classes = source.images()->classes();
  return inputs;
}

void check_sources(const Evaluation& evaluation, const Source& source, const Data* data) {
  const auto& about = evaluation.about();
  const auto& name = about.name;
  const auto& reads = about.reads;
  const auto& subject = source.subject();
  IBOT_CHECK(reads.features_alone() || subject.backbone != nullptr, name,
             ": expected a network, got pixels");
  IBOT_CHECK(!reads.head || subject.head, name, ": expected a projection head, found none");
  IBOT_CHECK(!reads.own_data || data != nullptr, name, ": expected its data, opened");
  if (!reads.labeled_images()) return;
  IBOT_CHECK(source.images() != nullptr, name, ": expected labeled images, got none");
  const auto& images = *source.images();
  check_images(evaluation, images.train().size(), images.test().size(), images.root());
}

/// How features came about, for the report.
void add_feature_options(const Source& source, eval::Report& report) {
  const auto& options = source.options();
  if (source.subject().backbone != nullptr) {
    report.options.merge(eval::option_values(options.features));
  }
  report.options["resize_size"] = options.resize_size;
  report.options["crop_size"] = options.crop_size;
}

}  // namespace

Source::Source(const Subject& subject, const LabeledImages* images, ExtractionOptions options,
               Listener listener, std::filesystem::path output)
    : subject_(subject),
      images_(images),
      options_(std::move(options)),
      listener_(std::move(listener)),
      output_(std::move(output)) {}

const eval::FeatureBank& Source::features(data::Split split) {
  const bool train = split == data::Split::kTrain;
  auto& bank = train ? train_ : test_;
  if (!bank) {
    bank = extract(subject_, images_->of(split), images_->hash(split), train ? "train" : "val",
                   options_, listener_);
  }
  return *bank;
}

void check_images(const Evaluation& evaluation, int64_t train_images, int64_t test_images,
                  const std::filesystem::path& where) {
  const auto least = evaluation.least();
  const auto mend = least.mend.empty() ? "" : "; " + least.mend;
  IBOT_CHECK(train_images >= least.train_images, where.string(), ": expected at least ",
             least.train_images, " training images, found ", train_images, mend);
  IBOT_CHECK(test_images >= least.test_images, where.string(), ": expected at least ",
             least.test_images, " test images, found ", test_images, mend);
}

eval::Report evaluate(const Evaluation& evaluation, Source& source, const Data* data) {
  check_sources(evaluation, source, data);
  auto report = evaluation.run(inputs_of(evaluation, source, data), source.listener());
  report.task = evaluation.about().name;
  report.identity = identity_of(evaluation, source, data).summary();
  if (evaluation.about().reads.features()) add_feature_options(source, report);
  if (evaluation.about().reads.labeled_images()) report.counts.merge(source.images()->counts());
  return report;
}

void prepare(const Evaluation& evaluation, Source& source, const Data* data) {
  check_sources(evaluation, source, data);
  const auto inputs = inputs_of(evaluation, source, data);
  if (evaluation.about().reads.shared) evaluation.prepare(inputs, source.listener());
}

Identity identity_of(const Evaluation& evaluation, const Source& source, const Data* data) {
  const auto& about = evaluation.about();
  Identity identity(about.name, about.version);
  identity.add_hash("weights", source.subject().hash);
  if (about.reads.labeled_images()) identity.add_images(*source.images());
  if (data != nullptr) identity.add_hash("data", data->hash());
  if (about.reads.head) identity.add_hash("weights of the head", source.subject().head_hash);
  identity.add_keys(feature_keys(source.subject(), source.options()));
  return identity;
}

}  // namespace ibot::evaluation
