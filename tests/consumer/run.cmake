# Installs BUILD_DIR, moves the installed tree, then configures, builds and runs the consumer on it,
# which finds LibTorch by itself or is told in one line why not.
cmake_minimum_required(VERSION 3.25)
set(work "${BUILD_DIR}/consumer")
file(REMOVE_RECURSE "${work}")
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Packages that were unpacked for lack of root, as docs/install.md has it.
if(EXISTS "${SOURCE_DIR}/.deps/system/usr/include")
  set(ENV{CMAKE_PREFIX_PATH} "${SOURCE_DIR}/.deps/system/usr")
  set(ENV{LDFLAGS} -Wl,--disable-new-dtags)
endif()

run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${work}/installed")
file(RENAME "${work}/installed" "${work}/moved")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}" -B "${work}/build" -G "${GENERATOR}"
  -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_CXX_COMPILER=${COMPILER}
  -D CMAKE_PREFIX_PATH=${work}/moved)
run("${CMAKE_COMMAND}" --build "${work}/build")
execute_process(COMMAND "${work}/build/consumer" WORKING_DIRECTORY "${work}" COMMAND_ERROR_IS_FATAL ANY)

# k-NN through the library is that of the installed program, on images and weights of its own.
if(EXISTS "${work}/moved/bin/ibot-eval")
  set(bin "${work}/moved/bin")
  set(weights checkpoints/last.safetensors)
  run("${bin}/ibot-data" synth "${work}/images" classes=2 train_per_class=6 val_per_class=3 size=40)
  run("${bin}/ibot-train" "${SOURCE_DIR}/configs/smoke/tiny.yaml" data.path=${work}/images/train
    backbone.heads=1 train.batch_size=4 train.max_steps=1 --quiet --output "${work}/run")
  run("${bin}/ibot-eval" knn --weights "${work}/run/${weights}" --data "${work}/images" --device cpu
    eval.resize_size=40 eval.crop_size=32 "eval.k=[1,3]" --output "${work}/knn")
  execute_process(COMMAND "${work}/build/consumer_knn" "${work}/run/${weights}" "${work}/images"
    OUTPUT_VARIABLE report COMMAND_ERROR_IS_FATAL ANY)
  file(READ "${work}/knn/report.json" expected)
  foreach(part metrics identity)
    string(JSON ours GET "${report}" ${part})
    string(JSON theirs GET "${expected}" ${part})
    if(NOT ours STREQUAL theirs)
      message(FATAL_ERROR "k-NN of the consumer: expected ${theirs}, got ${ours}")
    endif()
  endforeach()

  run("${bin}/ibot-eval" linear --weights "${work}/run/${weights}" --data "${work}/images" --device cpu
    eval.resize_size=40 eval.crop_size=32 linear.lr=0.1
    linear.epochs=2 linear.batch_size=4 --output "${work}/linear")
  execute_process(COMMAND "${work}/build/consumer_linear" "${work}/run/${weights}" "${work}/images"
    OUTPUT_VARIABLE ours OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  file(READ "${work}/linear/report.json" expected)
  string(JSON theirs GET "${expected}" metrics top1)
  if(NOT ours EQUAL theirs)
    message(FATAL_ERROR "linear probe of the consumer: expected ${theirs}, got ${ours}")
  endif()
endif()

# The examples, on the images and the run above. Not optimized: they compile for longer than they run.
if(EXISTS "${work}/run/config.yaml")
  run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}/examples" -B "${work}/examples" -G "${GENERATOR}"
    -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_PREFIX_PATH=${work}/moved)
  run("${CMAKE_COMMAND}" --build "${work}/examples")
  # example(NAME arguments... ): its output as a list of lines.
  function(example name)
    execute_process(COMMAND "${work}/examples/${name}" ${ARGN} OUTPUT_VARIABLE told COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "[^\n]+" told "${told}")
    set(told "${told}" PARENT_SCOPE)
  endfunction()
  function(expect what)
    if(NOT (${ARGN}))
      message(FATAL_ERROR "${what}: got ${told}")
    endif()
  endfunction()

  example(training_loop "${work}/run/config.yaml" "${work}/images/train" "${work}/loop.safetensors")
  list(GET told 0 ours)
  file(STRINGS "${work}/run/metrics.jsonl" lines)
  list(GET lines 0 line)
  string(JSON theirs GET "${line}" loss)
  string(SUBSTRING "${theirs}" 0 7 theirs)
  expect("training_loop: expected the loss ${theirs} of ibot-train" ours MATCHES "^${theirs}")

  file(GLOB images "${work}/images/train/*/*.jpg")
  list(SUBLIST images 0 2 images)
  example(embed "${work}/loop.safetensors" ${images})
  list(LENGTH told count)
  string(REGEX MATCHALL "[-0-9.e]+" numbers "${told}")
  list(LENGTH numbers numbers)
  expect("embed: expected two lines of 64 numbers" count EQUAL 2 AND numbers EQUAL 128)

  list(TRANSFORM images APPEND ",one\n" OUTPUT_VARIABLE table)
  string(CONCAT table ${table})
  file(WRITE "${work}/table.csv" "${table}")
  example(custom_dataset "${work}/table.csv")
  expect("custom_dataset: expected one batch of two images"
    told MATCHES "^global .4, 3, 224, 224., local .20, 3, 96, 96., masked [0-9]+$")

  example(custom_loss 2)
  list(LENGTH told count)
  expect("custom_loss: expected two steps" count EQUAL 2 AND told MATCHES "^loss [0-9.]+, uniformity -[0-9.]+")
endif()

# Configures the consumer on `prefix` with further words; the refusal must hold `reason` in one line.
function(expect_refusal prefix reason)
  execute_process(COMMAND "${CMAKE_COMMAND}" --fresh -S "${CMAKE_CURRENT_LIST_DIR}" -B "${work}/refused"
    -G "${GENERATOR}" -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_PREFIX_PATH=${prefix} ${ARGN}
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE told)
  string(FIND "${told}" "${reason}" position)
  if(status EQUAL 0 OR position EQUAL -1)
    message(FATAL_ERROR "expected status 1 and '${reason}', got ${status} and ${told}")
  endif()
endfunction()

set(hint "set LIBTORCH to the folder of LibTorch that holds include/ and lib/")
expect_refusal("${work}/moved" "found none in ${work}/none; ${hint}" -D LIBTORCH=${work}/none)
set(other "${work}/other/include/torch/csrc/api/include/torch/version.h")
file(WRITE "${other}" "#define TORCH_VERSION_MAJOR 9\n#define TORCH_VERSION_MINOR 1\n")
expect_refusal("${work}/moved" "with which ibot was built, found 9.1; ${hint}" -D LIBTORCH=${work}/other)
# As after the LibTorch that ibot was built with has moved.
file(COPY "${work}/moved/" DESTINATION "${work}/orphan" FILES_MATCHING PATTERN "*.cmake" PATTERN "*.a")
file(GLOB_RECURSE config "${work}/orphan/*/ibotConfig.cmake")
file(READ "${config}" text)
string(REPLACE "\"${LIBTORCH}\"" "\"${work}/gone\"" text "${text}")
file(WRITE "${config}" "${text}")
expect_refusal("${work}/orphan" "in ${work}/gone, where ibot was built with it, found none; ${hint}")

# Nothing in the package may name a folder of the machine that built it, but where LibTorch was.
file(GLOB package "${work}/moved/lib*/cmake/ibot/*.cmake" "${work}/moved/lib/*/cmake/ibot/*.cmake")
foreach(file IN LISTS package)
  file(STRINGS "${file}" lines)
  list(FILTER lines EXCLUDE REGEX "^set\\(IBOT_BUILT_TORCH ")
  foreach(folder "${SOURCE_DIR}" "${BUILD_DIR}")
    string(FIND "${lines}" "${folder}" position)
    if(NOT position EQUAL -1)
      message(FATAL_ERROR "${file} names ${folder}")
    endif()
  endforeach()
endforeach()
if(NOT package)
  message(FATAL_ERROR "no package files in ${work}/moved")
endif()
