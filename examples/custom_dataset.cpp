// custom_dataset TABLE.csv: images of one's own format, here lines of `file,class`, as batches.
#include <algorithm>
#include <fstream>
#include <iostream>

#include "ibot/config/run_config.h"
#include "ibot/io/file.h"
#include "ibot/loading/loader.h"
#include "ibot/models/backbone.h"

namespace {

using namespace ibot;

/// Encoded images with classes; `read` may as well ask a database. Several threads call it.
class Table : public data::Dataset {
 public:
  explicit Table(const std::string& path) {
    std::ifstream table(path);
    for (std::string file, name; std::getline(table, file, ',') && std::getline(table, name);) {
      const auto known = std::find(classes_.begin(), classes_.end(), name);
      labels_.push_back(known - classes_.begin());
      if (known == classes_.end()) classes_.push_back(name);
      files_.push_back(file);
    }
  }
  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  int64_t label(int64_t sample) const override { return labels_.at(sample); }
  std::string path(int64_t sample) const override { return files_.at(sample); }
  const std::vector<std::string>& class_names() const override { return classes_; }
  std::vector<uint8_t> read(int64_t sample) const override {
    const auto bytes = io::read_file(path(sample));
    return {bytes.begin(), bytes.end()};
  }

 private:
  std::vector<std::string> files_, classes_;
  std::vector<int64_t> labels_;
};

}  // namespace

int main(int argc, char** argv) try {
  const Table table(argc > 1 ? argv[1] : "");
  const config::RunConfig config;
  data::MultiCropLoader loader(
      table, {.data = config.data,
              .augment = config.augment,
              .mask = config.mask,
              .grid = models::mask_grid(config.backbone, config.augment.global_size),
              .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
              .batch_size = 2});
  while (const auto batch = loader.next()) {
    std::cout << "global " << batch->global.sizes() << ", local " << batch->local.sizes()
              << ", masked " << batch->mask.sum().item<int64_t>() << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
