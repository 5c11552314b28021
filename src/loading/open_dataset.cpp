#include "ibot/loading/open_dataset.h"

#include "ibot/data/cifar.h"
#include "ibot/data/file_list.h"
#include "ibot/data/image_folder.h"

namespace ibot::data {

std::unique_ptr<Dataset> open_images(const std::string& where, Labels labels) {
  if (names_shards(where)) return std::make_unique<ShardSet>(where, labels);
  const auto subfolders =
      labels == Labels::kUsed ? Subfolders::kClasses : meaning_of_subfolders(where);
  return std::make_unique<ImageFolder>(where, ImageFolder::kKeepListingFrom, subfolders);
}

std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& root, Split split,
                                      const DatasetOptions& options) {
  switch (options.kind) {
    case DatasetKind::kFolder: {
      const auto folder = root / (split == Split::kTrain ? "train" : "val");
      if (split == Split::kVal || options.train_list.empty()) {
        return open_images(folder.string());
      }
      return std::make_unique<FileList>(listed_images(folder, options.train_list));
    }
    case DatasetKind::kCifar10:
      return std::make_unique<Cifar>(root, CifarKind::kCifar10, split);
    case DatasetKind::kCifar100:
      return std::make_unique<Cifar>(root, CifarKind::kCifar100, split);
    case DatasetKind::kFlowers:
      return std::make_unique<FileList>(flowers(root, split));
    case DatasetKind::kCars:
      return std::make_unique<FileList>(stanford_cars(root, split));
    case DatasetKind::kInat18:
      return std::make_unique<FileList>(inaturalist(root, 2018, options.rank, split));
    case DatasetKind::kInat19:
      return std::make_unique<FileList>(inaturalist(root, 2019, options.rank, split));
  }
  return nullptr;
}

}  // namespace ibot::data
