# GENOSSM_TEST_PYTHON: a Python 3 that has numpy, for tests that read our files with other means; the
# system's own is asked too, since the first one on the path may lack it. Empty: there is none.
find_package(Python3 COMPONENTS Interpreter QUIET)
set(GENOSSM_TEST_PYTHON "")
foreach(python ${Python3_EXECUTABLE} /usr/bin/python3)
  execute_process(COMMAND ${python} -c "import numpy" RESULT_VARIABLE missing OUTPUT_QUIET ERROR_QUIET)
  if(missing EQUAL 0 AND NOT GENOSSM_TEST_PYTHON)
    set(GENOSSM_TEST_PYTHON ${python})
  endif()
endforeach()
