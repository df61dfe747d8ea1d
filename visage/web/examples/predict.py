import requests

with open("photo.jpg", "rb") as photo:
    response = requests.post(
        "http://localhost:8080/predict?annotated=false",
        files={"image": photo},
        headers={"Authorization": "Bearer TOKEN"},
        timeout=60,
    )
response.raise_for_status()
for face in response.json()["faces"]:
    print(face["bbox"], face["gender"], face["age"])
