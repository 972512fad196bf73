# The kit in a container, with what notebooks and grading need; docs/web.md has the commands.
FROM python:3.11-slim-bookworm

# On x86 the address of PyTorch's index for CPU builds, from pytorch.org, saves about 2.7 GB of CUDA libraries.
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

# First what seldom changes. The editable install below then takes seconds.
WORKDIR /kit
COPY requirements.txt constraints.txt ./
RUN pip install -c constraints.txt -r requirements.txt

COPY . .
# Editable, so that the masters of the assignments lie in /kit, where a graded submission cannot read them. The grader
# refuses to run as root.
RUN pip install -c constraints.txt -e '.[grading,real]' \
    && useradd --create-home --uid 1000 learner \
    && chown -R learner /kit
USER 1000

EXPOSE 8888
# All addresses of the container; `docker run -p 127.0.0.1:8888:8888` then lets only this machine in.
CMD ["sh", "-c", "w2s-lab notebooks /kit/my_notebooks && exec jupyter lab --ip=0.0.0.0 --no-browser /kit/my_notebooks"]
