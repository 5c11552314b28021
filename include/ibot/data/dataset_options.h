// Options of the source of labeled images.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace data {

/// Layout of a data set, as published by its authors.
enum class DatasetKind { kFolder, kCifar10, kCifar100, kFlowers, kCars, kInat18, kInat19 };

struct DatasetOptions {
  DatasetKind kind = DatasetKind::kFolder;
  std::string train_list;
  std::string rank = "name";
  double max_bad_share = 0.0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("kind", kind,
          "layout: folder (train/ and val/ image folders) | cifar10 | cifar100 (binary version) | "
          "flowers | cars | inat18 | inat19");
    field("train_list", train_list,
          "file that lists the training images to use, one per line, as published with SimCLRv2; "
          "only with kind folder; empty: all");
    field("rank", rank,
          "taxonomic rank that defines the classes of iNaturalist: name, genus, family, ...");
    field("max_bad_share", max_bad_share,
          "leave out labeled images that do not decode, as long as they are at most this fraction "
          "of train/ or val/, and report their number; all images are decoded first to find them; "
          "0: the first one ends the task",
          Effect::kNone);  // the hash of the images tells which ones were left out
  }

  void validate() const {
    check_option(train_list.empty() || kind == DatasetKind::kFolder, "train_list",
                 "expected none unless kind is folder, got ", train_list);
    check_option(!rank.empty(), "rank", "expected a name, got none");
    check_option(max_bad_share >= 0 && max_bad_share < 1, "max_bad_share", "expected [0, 1), got ",
                 max_bad_share);
  }
};

}  // namespace data

template <>
struct EnumNames<data::DatasetKind> {
  static constexpr std::array<std::pair<data::DatasetKind, std::string_view>, 7> values{
      {{data::DatasetKind::kFolder, "folder"},
       {data::DatasetKind::kCifar10, "cifar10"},
       {data::DatasetKind::kCifar100, "cifar100"},
       {data::DatasetKind::kFlowers, "flowers"},
       {data::DatasetKind::kCars, "cars"},
       {data::DatasetKind::kInat18, "inat18"},
       {data::DatasetKind::kInat19, "inat19"}}};
};

}  // namespace ibot
