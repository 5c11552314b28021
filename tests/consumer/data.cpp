#include <cstdio>

#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"
#include "ibot/data/image_folder.h"
#include "ibot/loading/labeled_loader.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const auto config = ibot::config::read_config<ibot::config::RunConfig>(argv[1]);
  const ibot::data::ImageFolder folder(config.data.path);
  ibot::data::LabeledLoader loader(folder, {.workers = config.data.workers});
  while (const auto batch = loader.next())
    std::printf("%d\n", static_cast<int>(batch->image.size(0)));
}
